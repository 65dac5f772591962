package podlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// Silence is how long the kubelet may send nothing of a log that is not followed, from the request
// on. It only has to read a file; one whose node is so busy that it takes longer, or that hangs, is
// asked again later, so that whoever reads is free meanwhile.
const Silence = 30 * time.Second

// ErrSilent is the error of a log that is not followed and of which nothing comes any more.
var ErrSilent = errors.New("the kubelet sends nothing")

// errStalled is the same for a log that is followed; see streamDelays.
var errStalled = errors.New("nothing comes any more")

// Read opens the log of a container as it is now. options do not follow. If nothing comes for as
// long as silence, the error is ErrSilent.
func Read(
	ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod, options *corev1.PodLogOptions, silence time.Duration,
) (io.ReadCloser, error) {
	return open(ctx, kube, pod, options, patience{silence: silence, err: ErrSilent})
}

// patience is how long a stream may be silent once it has returned a number of bytes, and its error
// then. Without any, it need not answer the request in time either.
type patience struct {
	from    int64
	silence time.Duration
	err     error
}

// stream ends when it is silent for too long.
type stream struct {
	io.ReadCloser
	patience
	cancel context.CancelFunc
	timer  *time.Timer
	given  int64
	silent atomic.Bool
}

func open(
	ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod, options *corev1.PodLogOptions, p patience,
) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := newStream(nil, p, cancel)
	var err error
	err = s.watch(func() error {
		s.ReadCloser, err = kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

func newStream(from io.ReadCloser, p patience, cancel context.CancelFunc) *stream {
	s := &stream{ReadCloser: from, patience: p, cancel: cancel}
	s.timer = time.AfterFunc(time.Hour, func() {
		s.silent.Store(true)
		cancel()
	})
	s.timer.Stop()
	return s
}

// watch ends the stream if do takes too long.
func (s *stream) watch(do func() error) error {
	if s.given >= s.from {
		s.timer.Reset(s.silence)
		defer s.timer.Stop()
	}
	err := do()
	if err != nil && s.silent.Load() {
		return fmt.Errorf("%w for %s", s.err, s.silence)
	}
	return err
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (n int, err error) {
	err = s.watch(func() error {
		n, err = s.ReadCloser.Read(p)
		return err
	})
	s.given += int64(n)
	return n, err
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.cancel()
	return s.ReadCloser.Close()
}
