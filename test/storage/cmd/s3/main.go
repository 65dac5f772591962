// Command s3 serves a real S3 server behind a proxy that makes faults, for tests in other modules.
// It prints one line of JSON when it is ready, and ends with SIGINT, SIGTERM, or with its standard
// input if -stdin is given:
//
//	{"endpoint": "http://127.0.0.1:1", "direct": "http://127.0.0.1:2", "control": "http://127.0.0.1:3", "store": "s3://archive?…", "environment": {"AWS_…": "…"}}
//
// Faults are set by POST {control}/fault {"kind": "gone"} and end by DELETE {control}/fault; kinds
// are those of package faults. The endpoint has them, direct has not.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/indelible-ci/indelible/test/storage/faults"
	"github.com/indelible-ci/indelible/test/storage/s3server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // stop has nothing to do any more
	}
}

// ready is what is printed.
type ready struct {
	Endpoint    string            `json:"endpoint"`
	Direct      string            `json:"direct"`
	Control     string            `json:"control"`
	Store       string            `json:"store"`
	Environment map[string]string `json:"environment"`
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("s3", flag.ContinueOnError)
	directory := flags.String("directory", "",
		"where the buckets are; by default a temporary directory, which is removed at the end")
	host := flags.String("host", "127.0.0.1", "address of this machine that the endpoint listens at")
	bucket := flags.String("bucket", "archive", "the bucket that is made")
	stdin := flags.Bool("stdin", false, "end when the standard input does: with the test that started it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root := *directory
	if root == "" {
		temporary, err := os.MkdirTemp("", "s3-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		root = temporary
	}
	server, err := s3server.New(root, "127.0.0.1:0", *bucket)
	if err != nil {
		return err
	}
	defer server.Close()
	proxy, err := faults.Start(net.JoinHostPort(*host, "0"), server.Endpoint)
	if err != nil {
		return err
	}
	defer proxy.Close()
	control, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	controller := &http.Server{Handler: proxy.Control()} //nolint:gosec // G112: its clients are tests
	defer controller.Close()
	go func() { _ = controller.Serve(control) }()
	if err := json.NewEncoder(out).Encode(ready{
		Endpoint: proxy.URL(), Direct: server.Endpoint, Control: "http://" + control.Addr().String(),
		Store: s3server.URL(proxy.URL(), *bucket), Environment: s3server.Environment(),
	}); err != nil {
		return err
	}
	wait(ctx, in, *stdin)
	return nil
}

func wait(ctx context.Context, in io.Reader, stdin bool) {
	ended := make(chan struct{})
	if stdin {
		go func() {
			_, _ = io.Copy(io.Discard, in)
			close(ended)
		}()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
}
