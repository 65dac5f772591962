// Package daemon has what Indelible's long-running programs share: ending on a signal, logging,
// reaching the cluster, and serving metrics and health. It knows nothing of their purpose, and adds
// no dependency that the webhook would not have anyway.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// Main runs a program: run gets the arguments after the program's name and a context that ends on
// SIGINT or SIGTERM, and returns the exit code. Main does not return.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Namespace returns the namespace that the program runs in, from POD_NAMESPACE; the default is that
// of config/.
func Namespace() string {
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		return namespace
	}
	return "indelible-system"
}

// AtLeast returns an error that names each flag whose duration is shorter than least.
func AtLeast(least time.Duration, flags map[string]time.Duration) error {
	var wrong error
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] < least {
			wrong = errors.Join(wrong, fmt.Errorf("--%s must be at least %s", name, least))
		}
	}
	return wrong
}

// NewLogger writes one JSON object per line.
func NewLogger(out io.Writer, level slog.Level) logr.Logger {
	return logr.FromSlogHandler(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

var librariesLogger sync.Once

// SetLibrariesLogger sets the logger of controller-runtime and client-go. It is a global variable
// without a lock, read by the client's goroutines until they end: only the first call in a process
// has an effect.
func SetLibrariesLogger(log logr.Logger) {
	librariesLogger.Do(func() {
		ctrllog.SetLogger(log)
		klog.SetLogger(log)
	})
}
