package node

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// run runs a program of this machine and returns what it printed; what it complained about becomes
// the error.
func run(ctx context.Context, input, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err,
			firstLines(stderr.String(), 3))
	}
	return stdout.String(), nil
}

// RunKubectl runs the cluster's own kubectl as its administrator.
func (s State) RunKubectl(ctx context.Context, input string, args ...string) (string, error) {
	return run(ctx, input, s.Kubectl(), append([]string{"--kubeconfig", s.Kubeconfig()}, args...)...)
}

// ctr runs containerd's client in the namespace that the kubelet uses.
func (s State) ctr(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "", s.bin("ctr"), append([]string{"--address", s.containerdSocket(), "--namespace", "k8s.io"},
		args...)...)
}

// firstLines keeps an error readable when a program repeats it for each of many objects.
func firstLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > count {
		lines = append(lines[:count], fmt.Sprintf("… and %d lines more", len(lines)-count))
	}
	return strings.Join(lines, "\n")
}
