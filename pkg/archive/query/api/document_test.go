package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestDocument runs the commands of docs/api.md, and compares their output with the page.
func TestDocument(t *testing.T) {
	for _, tool := range []string{"curl", "jq", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	r := newFullRig(t)
	page, err := os.ReadFile("../../../../docs/api.md")
	r.must(err)
	bin := t.TempDir()
	self, err := os.Executable()
	r.must(err)
	standIn := fmt.Sprintf("#!/bin/sh\nINDELIBLE_GRPCURL=1 exec %s \"$@\"\n", self)
	r.must(os.WriteFile(filepath.Join(bin, "grpcurl"), []byte(standIn), 0o700))
	script := "set -eu\n"
	for _, block := range shell.FindAllStringSubmatch(string(page), -1) {
		script += block[1]
	}
	command := exec.CommandContext(t.Context(), "sh", "-c", script)
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "API="+strings.TrimPrefix(r.URL, "http://"),
		"NS=team", "TOKEN="+member, "WRITER="+robot,
		"RUN_UID="+failed.uid, "POD=build-1-compile-pod")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"lint-1 Failed " + failed.record(), // the list
		"TaskRun\nstep-a :-\nfour\n",       // the run and its log
		`"total":4`,                        // the summary
		"tekton.results.v1alpha2.Results",  // reflection
		pipelineOK.record(),                // gRPC's list
		"c3RlcC1hIDotCmZvdXIK",             // gRPC's log, "step-a :-\nfour\n" in base64
		`"etag"`,                           // writes
		"one\n",                            // the Dashboard's log
	} {
		if !strings.Contains(strings.ReplaceAll(string(out), `": `, `":`), want) {
			t.Errorf("%q is not in what the commands print:\n%s", want, out)
		}
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("INDELIBLE_GRPCURL") != "" {
		if err := grpcurl(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// grpcurl replaces the program of that name: it calls any method of the protos linked into this
// test, with JSON.
func grpcurl() error {
	flags := flag.NewFlagSet("grpcurl", flag.ContinueOnError)
	_ = flags.Bool("plaintext", false, "")
	header, data := flags.String("H", "", ""), flags.String("d", "{}", "")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	conn, err := grpc.NewClient(flags.Arg(0), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD{})
	if name, value, ok := strings.Cut(*header, ": "); ok {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	if flags.Arg(1) == "list" {
		stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err == nil {
			err = stream.Send(
				&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		}
		if err != nil {
			return err
		}
		answer, err := stream.Recv()
		for _, service := range answer.GetListServicesResponse().GetService() {
			fmt.Println(service.GetName())
		}
		return err
	}
	return callMethod(ctx, conn, flags.Arg(1), *data)
}

func callMethod(ctx context.Context, conn *grpc.ClientConn, path, data string) error {
	service, method, _ := strings.Cut(path, "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return err
	}
	description := found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(method))
	request := dynamicpb.NewMessage(description.Input())
	if err := protojson.Unmarshal([]byte(data), request); err != nil {
		return err
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+path)
	if err == nil {
		err = errors.Join(stream.SendMsg(request), stream.CloseSend())
	}
	for err == nil {
		answer := dynamicpb.NewMessage(description.Output())
		if err = stream.RecvMsg(answer); err == nil {
			err = show(answer)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func show(m proto.Message) error {
	text, err := protojson.Marshal(m)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(json.RawMessage(text))
	}
	return err
}
