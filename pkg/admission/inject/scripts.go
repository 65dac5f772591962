package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Tekton puts all scripts of a Pod, steps' and sidecars', into the last argument of one init
// container: a shell program with each script in base64 (convertScripts in pkg/pod/script.go of
// Tekton Pipelines 1.15, the same in 1.9). Linux limits a string passed to a program to 128 KiB, so
// scripts of more than 96 KB together fail with "argument list too long".
//
// Such an argument is split into pieces, which the shell joins and runs:
//
//	sh -c PROGRAM   becomes   sh -c 'eval "set --
//	                          ${1}${2}${3}"' sh PIECE PIECE PIECE
//
// This only needs the shell's grammar (POSIX.1-2024, XCU 2.14 eval, set). PROGRAM runs in the same
// process with the same $0, no positional parameters and no new variables, whatever IFS is: nothing
// is split inside quotes. A container of any other shape is left as it is.

const (
	placeScripts = "place-scripts"
	shell        = "sh"
	shellCommand = "-c"
)

const (
	// pageSize is that of x86 and nearly all arm64 kernels.
	pageSize = 4 << 10
	// maxString is the longest string execve accepts, without the terminating zero byte:
	// MAX_ARG_STRLEN of include/uapi/linux/binfmts.h is 32 pages.
	maxString = 32*pageSize - 1
	// pieceLength leaves half of maxString for what the kubelet may expand in a piece. All pieces
	// together may reach a quarter of the stack limit, by default 2 MiB (execve(2)): more than a
	// Pod may have in etcd.
	pieceLength = 64 << 10
)

// scriptSplit is the new form of one init container's arguments.
type scriptSplit struct {
	// container is its index in spec.initContainers.
	container int
	args      []string
}

// splitScripts returns how to pass the Pod's scripts, nil if nothing is needed or possible.
func splitScripts(pod *corev1.Pod) *scriptSplit {
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if !placesScripts(c) || len(c.Args) != 2 || c.Args[0] != shellCommand || len(c.Args[1]) <= maxString {
			continue
		}
		if pieces, ok := cut(c.Args[1], pieceLength); ok {
			return &scriptSplit{container: i, args: joined(pieces)}
		}
	}
	return nil
}

func placesScripts(c *corev1.Container) bool {
	return c.Name == placeScripts && slices.Equal(c.Command, []string{shell})
}

// joined returns the arguments of a shell that joins the pieces and runs them.
func joined(pieces []string) []string {
	return append([]string{shellCommand, loader(len(pieces)), shell}, pieces...)
}

// loader is the program that joins n pieces.
func loader(n int) string {
	var b strings.Builder
	b.WriteString("eval \"set --\n")
	for i := range n {
		fmt.Fprintf(&b, "${%d}", i+1)
	}
	b.WriteString(`"`)
	return b.String()
}

// hasSplitScripts recognizes the output of joined, from an earlier call of the webhook.
func hasSplitScripts(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return placesScripts(&c) && len(c.Args) > 3 && c.Args[0] == shellCommand &&
			c.Args[1] == loader(len(c.Args)-3) && c.Args[2] == shell
	})
}
