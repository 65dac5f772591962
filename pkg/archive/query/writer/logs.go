package writer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

const aLog = "the log"

// Types of the records of logs.
const (
	logType    = "results.tekton.dev/v1alpha3.Log"
	oldLogType = "results.tekton.dev/v1alpha2.Log"
)

// UpdateLog implements query.Writer. The log of an archived run is replaced by an object, which
// takes precedence over the commit. For a log of a tool it also updates the record: stored, with
// this size.
func (w *Writer) UpdateLog(ctx context.Context, parent, result, log string, content io.Reader) (int64, error) {
	name := object.Name{Kind: object.Log, Parent: parent, Result: result, ID: log}
	c, err := w.archived(ctx, parent, result, log)
	if err != nil {
		return 0, err
	}
	if c != nil {
		name.Result, name.ID = c.Run.Result, run.LogID(c.Run.Result, c.Run.UID)
		return w.putLog(ctx, name, content)
	}
	record := object.Name{Kind: object.Record, Parent: parent, Result: result, ID: log}
	there, err := w.Objects.Get(ctx, record)
	switch {
	case err != nil:
		return 0, fail(ctx, aLog, err)
	case there.Type != logType && there.Type != oldLogType:
		return 0, status.Error(codes.FailedPrecondition, "the record is not of a log")
	}
	size, err := w.putLog(ctx, name, content)
	if err != nil {
		return 0, err
	}
	_, err = w.change(ctx, record, "", func(o *object.Object) error {
		o.Data, err = stored(o.Data, size)
		return err
	})
	return size, err
}

func (w *Writer) putLog(ctx context.Context, name object.Name, content io.Reader) (int64, error) {
	o, err := w.Objects.PutLog(ctx, name, content)
	if err != nil {
		return 0, fail(ctx, aLog, err)
	}
	c, err := object.ContentOf(&o)
	if err != nil {
		return 0, fail(ctx, aLog, err)
	}
	return c.Bytes, w.written(ctx, o)
}

// stored returns the data of a log's record with the status of a stored log. It keeps other fields.
func stored(data json.RawMessage, size int64) (json.RawMessage, error) {
	log := map[string]json.RawMessage{}
	known := map[string]any{}
	if err := json.Unmarshal(data, &log); err != nil {
		return nil, fmt.Errorf("%w: the record of the log is no JSON object", object.ErrInvalid)
	}
	if err := json.Unmarshal(log["status"], &known); err != nil || known == nil {
		known = map[string]any{}
	}
	known["size"], known["isStored"], known["errorOnStoreMsg"], known["isRetryableErr"] = size, true, "", false
	text, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	log["status"] = text
	return json.Marshal(log)
}

// DeleteLog implements query.Writer. It hides the log of an archived run, whose commit stays.
func (w *Writer) DeleteLog(ctx context.Context, parent, result, log string) error {
	c, err := w.archived(ctx, parent, result, log)
	if err != nil {
		return err
	}
	if c != nil {
		return w.hide(ctx, object.Name{Kind: object.Log, Parent: parent, Result: c.Run.Result,
			ID: run.LogID(c.Run.Result, c.Run.UID)})
	}
	for _, id := range []string{log, run.LogID(result, log)} { // the log's ID, or the run's UID
		err = w.deleteLog(ctx, object.Name{Kind: object.Log, Parent: parent, Result: result, ID: id})
		if status.Code(err) != codes.NotFound {
			return err
		}
	}
	return err
}

// deleteLog deletes a tool's log and its record.
func (w *Writer) deleteLog(ctx context.Context, name object.Name) error {
	log := w.delete(ctx, aLog, name)
	if log != nil && status.Code(log) != codes.NotFound {
		return log
	}
	name.Kind = object.Record
	there, err := w.Objects.Get(ctx, name)
	if err == nil && there.Type != logType && there.Type != oldLogType {
		err = object.ErrNotExist
	}
	if errors.Is(err, object.ErrNotExist) {
		return log
	}
	if err != nil {
		return fail(ctx, aLog, err)
	}
	return w.delete(ctx, aLog, name)
}

func (w *Writer) hide(ctx context.Context, name object.Name) error {
	there, err := w.Objects.Get(ctx, name)
	if err == nil {
		if c, err := object.ContentOf(&there); err == nil && c.Hidden {
			return fail(ctx, aLog, object.ErrNotExist)
		}
	} else if !errors.Is(err, object.ErrNotExist) {
		return fail(ctx, aLog, err)
	}
	hidden, err := w.Objects.HideLog(ctx, name)
	if err != nil {
		return fail(ctx, aLog, err)
	}
	return w.written(ctx, hidden)
}
