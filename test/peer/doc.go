//go:build tools

// Package peer pins Tekton Results, which test/bench builds and measures beside Indelible. It is a
// module of its own: nothing else needs what that needs.
package peer

import (
	_ "github.com/tektoncd/results/cmd/api"
	_ "github.com/tektoncd/results/cmd/watcher"
)
