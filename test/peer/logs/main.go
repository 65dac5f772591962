// Command logs stores a log in a Tekton Results API server as its watcher does, reads it back, and
// prints how many bytes went in and out in a second: {"in": 3e8, "out": 2e8}. What there has to be
// before, a result and a record, is not counted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/tektoncd/results/pkg/apis/v1alpha3"
	"github.com/tektoncd/results/pkg/logs"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address, file string) error {
	log, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	result := "peer/results/" + uuid.NewString()
	name, err := prepare(ctx, pb.NewResultsClient(connection), result)
	if err != nil {
		return err
	}
	client := pb.NewLogsClient(connection)
	began := time.Now()
	if err := put(ctx, client, name, log); err != nil {
		return fmt.Errorf("UpdateLog: %w", err)
	}
	in := time.Since(began)
	began = time.Now()
	if err := get(ctx, client, name, len(log)); err != nil {
		return fmt.Errorf("GetLog: %w", err)
	}
	out, size := time.Since(began), float64(len(log))
	if _, err := client.DeleteLog(ctx, &pb.DeleteLogRequest{Name: name}); err != nil {
		return fmt.Errorf("DeleteLog: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"in": size / in.Seconds(), "out": size / out.Seconds()})
}

// prepare makes a result and the record of a log, and returns the log's name.
func prepare(ctx context.Context, client pb.ResultsClient, result string) (string, error) {
	request := &pb.CreateResultRequest{Parent: "peer", Result: &pb.Result{Name: result}}
	if _, err := client.CreateResult(ctx, request); err != nil {
		return "", fmt.Errorf("CreateResult: %w", err)
	}
	id := uuid.NewString()
	value, err := json.Marshal(&v1alpha3.Log{
		ObjectMeta: metav1.ObjectMeta{Namespace: "peer", Name: "log", UID: types.UID(id)},
		Spec: v1alpha3.LogSpec{
			Resource: v1alpha3.Resource{Kind: "TaskRun", Namespace: "peer", Name: "run"}, Type: v1alpha3.FileLogType,
		},
	})
	if err != nil {
		return "", err
	}
	record := &pb.Record{Name: result + "/records/" + id, Data: &pb.Any{Type: v1alpha3.LogRecordType, Value: value}}
	if _, err := client.CreateRecord(ctx, &pb.CreateRecordRequest{Parent: result, Record: record}); err != nil {
		return "", fmt.Errorf("CreateRecord: %w", err)
	}
	return result + "/logs/" + id, nil
}

func put(ctx context.Context, client pb.LogsClient, name string, log []byte) error {
	stream, err := client.UpdateLog(ctx)
	if err != nil {
		return err
	}
	for len(log) > 0 {
		n := min(logs.DefaultBufferSize, len(log))
		if err := stream.Send(&pb.Log{Name: name, Data: log[:n]}); err != nil {
			_, closeErr := stream.CloseAndRecv()
			return errors.Join(err, closeErr)
		}
		log = log[n:]
	}
	_, err = stream.CloseAndRecv()
	return err
}

func get(ctx context.Context, client pb.LogsClient, name string, want int) error {
	stream, err := client.GetLog(ctx, &pb.GetLogRequest{Name: name})
	if err != nil {
		return err
	}
	for got := 0; ; {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) && got == want {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d bytes of %d: %w", got, want, err)
		}
		got += len(part.GetData())
	}
}
