// Package daemon has what Indelible's long-running programs share: how they end with a signal, log, reach the cluster, and serve
// metrics and health. What they are for is no matter of it, and it brings no dependency that the webhook would not have anyway.
package daemon

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// Main is a program: run gets the arguments after the program's name and a context that ends with SIGINT or SIGTERM, and returns
// the exit code. Main does not return.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Namespace is the one that the program runs in, as its Deployment says, and where it does not, the one of config/.
func Namespace() string {
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		return namespace
	}
	return "indelible-system"
}

// NewLogger writes one JSON object a line.
func NewLogger(out io.Writer, level slog.Level) logr.Logger {
	return logr.FromSlogHandler(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

var librariesLogger sync.Once

// SetLibrariesLogger is for what controller-runtime and client-go say. Theirs is one variable of the process, without a
// lock, that the client's goroutines read to their end: only the first call in a process has an effect.
func SetLibrariesLogger(log logr.Logger) {
	librariesLogger.Do(func() {
		ctrllog.SetLogger(log)
		klog.SetLogger(log)
	})
}
