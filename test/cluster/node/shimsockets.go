package node

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A shim removes its socket when it ends by itself, not when it is killed. The name of a socket is
// a digest (SocketAddress in containerd's pkg/shim) of the address of its containerd and the id of
// its pod, so that it tells ours from another containerd's only to somebody who knows the ids.

func (s State) savedShimSockets() string { return s.path("run", "shim-sockets.json") }

// rememberShimSockets writes down the sockets of the pods that exist, for the time after their
// pods.
func (s State) rememberShimSockets() error {
	sockets := s.shimSockets()
	if len(sockets) == 0 {
		return nil
	}
	content, err := json.Marshal(sockets)
	if err != nil {
		return err
	}
	return writeWhole(s.savedShimSockets(), content)
}

// shimSockets lists the sockets that our shims made and that still exist.
func (s State) shimSockets() []string {
	candidates := s.bundleSockets()
	for _, pid := range s.shims() {
		candidates = append(candidates, shimSocketOf(arguments(pid)))
	}
	var saved []string
	if content, err := os.ReadFile(s.savedShimSockets()); err == nil && json.Unmarshal(content, &saved) == nil {
		candidates = append(candidates, saved...)
	}
	slices.Sort(candidates)
	return slices.DeleteFunc(slices.Compact(candidates), func(path string) bool {
		_, err := os.Lstat(path)
		return filepath.Dir(path) != shimSocketDir || errors.Is(err, os.ErrNotExist)
	})
}

// bundleSockets are those that containerd has written beside its containers; a killed shim leaves
// them too.
func (s State) bundleSockets() []string {
	files, err := filepath.Glob(s.path("run", "containerd", "io.containerd.runtime.v2.task", "*", "*",
		"bootstrap.json"))
	if err != nil {
		return nil
	}
	var sockets []string
	for _, file := range files {
		var bootstrap struct{ Address string }
		if content, err := os.ReadFile(file); err == nil && json.Unmarshal(content, &bootstrap) == nil {
			sockets = append(sockets, strings.TrimPrefix(bootstrap.Address, "unix://"))
		}
	}
	return sockets
}

// shimSocketOf computes a shim's socket from its command line.
func shimSocketOf(args []string) string {
	value := func(flag string) string {
		if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	path := filepath.Join(value("-address"), value("-namespace"), value("-id"))
	return filepath.Join(shimSocketDir, fmt.Sprintf("%x", sha256.Sum256([]byte(path))))
}
