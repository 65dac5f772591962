package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

func recordName(e *index.Entry, c class) string {
	return e.Namespace + "/results/" + e.Result + "/records/" + id(e, c)
}

// newRecord makes a record of an entry; data is nil if it is not requested.
func newRecord(g *index.Group, e *index.Entry, c class, data []byte) *pb.Record {
	created, updated := timestamppb.New(index.Micros(e.Created)), timestamppb.New(index.Micros(e.Updated))
	uid, etag := id(e, c), fmt.Sprintf("%s-%d", e.UID, e.Updated)
	if e.Tool {
		uid, etag = e.UID, e.ETag()
	}
	return &pb.Record{
		Name: recordName(e, c), Uid: uid, Etag: etag, CreateTime: created, UpdateTime: updated,
		Id: uid, CreatedTime: created, UpdatedTime: updated, //nolint:staticcheck // older clients read these
		Data: &pb.Any{Type: dataType(g, c), Value: data},
	}
}

// data returns the data of a record of a loaded entry.
func (r *reading) data(ctx context.Context, e *index.Entry, g *index.Group, c class) ([]byte, error) {
	switch c {
	case ofLog:
		return newLog(e, g)
	case ofEvents:
		return r.events(ctx, e)
	}
	return e.Record()
}

const logAPIVersion = "results.tekton.dev/v1alpha3"

// log is Tekton Results' record of a log (its pkg/apis/v1alpha3).
type log struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		Name      string  `json:"name"`
		Namespace string  `json:"namespace"`
		UID       string  `json:"uid"`
		Created   *string `json:"creationTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Resource resource `json:"resource"`
		Type     string   `json:"type"`
	} `json:"spec"`
	Status struct {
		Size      int64  `json:"size"`
		Stored    bool   `json:"isStored"`
		Error     string `json:"errorOnStoreMsg"`
		Retryable bool   `json:"isRetryableErr"`
	} `json:"status"`
}

type resource struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
}

const logSuffix = "-log"

func logName(e *index.Entry) string { return e.Name + logSuffix }

// newLog makes the record of a run's log. The size is that of all its containers' logs. A
// PipelineRun's is 0: its log consists of its TaskRuns' logs, which its commit does not have.
func newLog(e *index.Entry, g *index.Group) ([]byte, error) {
	commit, err := e.Commit()
	if err != nil {
		return nil, err
	}
	_, kind := splitType(g.Type)
	l := log{Kind: "Log", APIVersion: logAPIVersion}
	l.Metadata.Name, l.Metadata.Namespace, l.Metadata.UID = logName(e), e.Namespace, id(e, ofLog)
	l.Spec.Resource, l.Spec.Type = resource{kind, e.Namespace, e.Name, e.UID}, "blob"
	l.Status.Stored = true
	for _, p := range commit.Parts {
		if p.Type == manifest.Log && p.Content != nil {
			l.Status.Size += p.Content.Bytes
		}
	}
	return json.Marshal(l)
}

// events reads a run's events from the bucket. The index's commit lacks what is inline in the
// bucket's.
func (r *reading) events(ctx context.Context, e *index.Entry) ([]byte, error) {
	commit, err := e.Commit()
	if err != nil {
		return nil, err
	}
	if r.Store == nil {
		return nil, errors.New("events cannot be read without the bucket")
	}
	key, err := commit.Key()
	if err != nil {
		return nil, err
	}
	if commit, err = manifest.Read(ctx, r.Store, key); err != nil {
		return nil, err
	}
	for i := range commit.Parts {
		if p := &commit.Parts[i]; p.Type == manifest.Events && p.State != manifest.Missing {
			return r.content(ctx, p)
		}
	}
	return nil, fmt.Errorf("commit %s has no events: %w", key, manifest.ErrDamaged)
}

func (r *reading) content(ctx context.Context, p *manifest.Part) ([]byte, error) {
	content, err := manifest.Open(ctx, r.Store, p)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(content)
	if err = errors.Join(err, content.Close()); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return bytes.TrimSpace(data), nil
}
