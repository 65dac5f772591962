package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Database is a Source that reads the Postgres of a Tekton Results. Logs are not in Postgres: they
// are read from Folder or from the API.
type Database struct {
	db *sql.DB
	// Folder is the directory LOGS_PATH of the API server, as mounted here.
	Folder string
	// Logs, if not nil, is the API, which returns logs from any storage.
	Logs *API
}

// OpenDatabase opens a database by its URL. It is only read.
func OpenDatabase(ctx context.Context, url string) (*Database, error) {
	db, err := sql.Open("pgx", url)
	if err == nil {
		err = db.PingContext(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open the database of Tekton Results: %w", err)
	}
	return &Database{db: db}, nil
}

// Close closes the database.
func (d *Database) Close() error { return d.db.Close() }

const (
	resultPage = 500
	recordPage = 20
)

// Results implements Source, ordered by parent and name. A position is the name of the preceding
// Result.
func (d *Database) Results(ctx context.Context, from string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		var parent, name string
		if from != "" {
			n, err := nameOf(from)
			if err != nil {
				yield(Found{}, fmt.Errorf("position %q: %w", from, err))
				return
			}
			parent, name = n.Parent, n.Result
		}
		for before := from; ; {
			page, err := d.resultsAfter(ctx, parent, name)
			if err != nil {
				yield(Found{}, fmt.Errorf("read results: %w", err))
				return
			}
			for _, r := range page {
				if !yield(Found{r, before}, nil) {
					return
				}
				before = r.GetName()
			}
			if len(page) < resultPage {
				return
			}
			n, err := nameOf(before)
			if err != nil {
				yield(Found{}, fmt.Errorf("result %q: %w", before, err))
				return
			}
			parent, name = n.Parent, n.Result
		}
	}
}

func (d *Database) resultsAfter(ctx context.Context, parent, name string) (page []*pb.Result, err error) {
	rows, err := d.db.QueryContext(ctx, `SELECT parent, id, name, annotations, created_time, updated_time,
		recordsummary_record, recordsummary_type, recordsummary_start_time, recordsummary_end_time, recordsummary_status, recordsummary_annotations
		FROM results WHERE (parent, name) > ($1, $2) ORDER BY parent, name LIMIT $3`, parent, name, resultPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scanResult(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

func scanResult(rows *sql.Rows) (*pb.Result, error) {
	var parent, id, name string
	var annotations, summaryAnnotations []byte
	var created, updated time.Time
	var record, kind sql.NullString
	var start, end sql.NullTime
	var status sql.NullInt32
	err := rows.Scan(&parent, &id, &name, &annotations, &created, &updated,
		&record, &kind, &start, &end, &status, &summaryAnnotations)
	if err != nil {
		return nil, err
	}
	r := &pb.Result{
		Name: resultName(parent, name), Uid: id, CreateTime: timestamppb.New(created),
		UpdateTime: timestamppb.New(updated),
	}
	if record.String != "" {
		r.Summary = &pb.RecordSummary{
			Record: record.String, Type: kind.String, Status: pb.RecordSummary_Status(status.Int32),
			StartTime: stamp(start), EndTime: stamp(end),
		}
	}
	if err := decodeMap(annotations, &r.Annotations); err != nil {
		return nil, fmt.Errorf("annotations of %s: %w", r.GetName(), err)
	}
	if r.Summary != nil {
		if err := decodeMap(summaryAnnotations, &r.Summary.Annotations); err != nil {
			return nil, fmt.Errorf("annotations of the summary of %s: %w", r.GetName(), err)
		}
	}
	return r, nil
}

func stamp(t sql.NullTime) *timestamppb.Timestamp {
	if !t.Valid {
		return nil
	}
	return timestamppb.New(t.Time)
}

func decodeMap(text []byte, to *map[string]string) error {
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, to)
}

// Records implements Source, ordered by name.
func (d *Database) Records(ctx context.Context, result *pb.Result, about bool) iter.Seq2[*pb.Record, error] {
	return func(yield func(*pb.Record, error) bool) {
		n, err := nameOf(result.GetName())
		for after := ""; err == nil; {
			var page []*pb.Record
			if page, err = d.recordsAfter(ctx, n.Parent, n.Result, after, about); err != nil {
				break
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				after = r.GetName()[strings.LastIndexByte(r.GetName(), '/')+1:]
			}
			if len(page) < recordPage {
				return
			}
		}
		yield(nil, fmt.Errorf("read records of %s: %w", result.GetName(), err))
	}
}

func (d *Database) recordsAfter(
	ctx context.Context, parent, result, after string, about bool,
) (page []*pb.Record, err error) {
	rows, err := d.db.QueryContext(ctx, `SELECT id, name, type, data, created_time, updated_time FROM records
		WHERE parent = $1 AND result_name = $2 AND name > $3 AND (type IN ($4, $5, $6)) = $7 ORDER BY name LIMIT $8`,
		parent, result, after, logType, oldLogType, eventListType, about, recordPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, name, kind string
		var data []byte
		var created, updated time.Time
		if err := rows.Scan(&id, &name, &kind, &data, &created, &updated); err != nil {
			return nil, err
		}
		page = append(page, &pb.Record{
			Name: parent + "/results/" + result + "/records/" + name, Uid: id, Data: &pb.Any{Type: kind, Value: data},
			CreateTime: timestamppb.New(created), UpdateTime: timestamppb.New(updated),
		})
	}
	return page, rows.Err()
}

// Log implements Source.
func (d *Database) Log(ctx context.Context, record *pb.Record) (io.ReadCloser, error) {
	if d.Logs != nil {
		return d.Logs.Log(ctx, record)
	}
	log, err := parseLog(record)
	if err != nil || d.Folder == "" || log.Spec.Type != "File" || log.Status.Path == "" {
		return nil, fmt.Errorf("read %s: %w", record.GetName(), ErrNoLog)
	}
	folder, err := os.OpenRoot(d.Folder) // do not follow paths in records out of the folder
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", record.GetName(), err)
	}
	defer folder.Close()
	file, err := folder.Open(filepath.Clean(strings.TrimPrefix(log.Status.Path, "/")))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoLog
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", record.GetName(), err)
	}
	return file, nil
}

// logData is the data of a log's record.
type logData struct {
	Spec struct {
		Resource struct {
			UID string `json:"uid"`
		} `json:"resource"`
		Type string `json:"type"`
	} `json:"spec"`
	Status struct {
		Path     string `json:"path"`
		Size     int64  `json:"size"`
		IsStored bool   `json:"isStored"`
	} `json:"status"`
}

func parseLog(record *pb.Record) (logData, error) {
	var log logData
	err := json.Unmarshal(record.GetData().GetValue(), &log)
	return log, err
}
