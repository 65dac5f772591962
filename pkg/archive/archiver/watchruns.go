package archiver

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// RunReflectors returns reflectors of run.Resources, in that order, which keep Families up to date.
// The objects are *observed.Run with their kind.
func (a *Archiver) RunReflectors() ([]*observed.Reflector, error) {
	var all []*observed.Reflector
	for i, kind := range run.Kinds {
		w, err := observed.NewReflector(a.Config, run.Resources[i], &observed.Run{},
			func(object []byte) (runtime.Object, error) {
				s := &observed.Run{}
				return s, s.Read(object)
			})
		if err != nil {
			return nil, err
		}
		of := func(object any) *observed.Run {
			s := object.(*observed.Run)
			s.Kind = kind // the decoder clears it
			return s
		}
		w.Listed = func(object runtime.Object) runtime.Object {
			s := of(object)
			s.Object = nil // only deleted runs need it
			return s
		}
		w.Unreadable = a.Unreadable(w.Resource.Resource)
		w.Initial = func(objects []any) {
			runs := make([]*observed.Run, 0, len(objects))
			for _, o := range objects {
				runs = append(runs, of(o))
			}
			a.Families.Replace(kind, runs)
		}
		w.Changed = func(o any) { a.Families.Put(of(o)) }
		w.Deleted = func(o any) { a.Families.Remove(of(o)) }
		a.Families.Watch(w.UpToDate)
		all = append(all, w)
	}
	return all, nil
}
