package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// fakeKubelet is one as far as the API server sees: a Node, whose lease keeps it ready, and the
// logs of pods bound to it. Nothing runs there: whoever writes a pod says with add what its
// containers print.
type fakeKubelet struct {
	name   string
	kube   kubernetes.Interface
	server http.Server
	mu     sync.Mutex
	logs   map[container]*fakeLog
}

// container names one of the bench's namespace.
type container struct{ pod, name string }

// startFakeKubelet serves with a certificate of the API server's own, which is for the same
// address.
func startFakeKubelet(ctx context.Context, kube kubernetes.Interface, name, pki string) (*fakeKubelet, error) {
	k := &fakeKubelet{name: name, kube: kube, logs: map[container]*fakeLog{}}
	paths := http.NewServeMux()
	paths.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLog)
	k.server.Handler = paths
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	certificate := filepath.Join(pki, "kube-apiserver")
	go func() {
		if err := k.server.ServeTLS(listener, certificate+".crt",
			certificate+".key"); !errors.Is(err, http.ErrServerClosed) {
			note("the fake kubelet: %v", err)
		}
	}()
	if err := k.register(ctx, listener.Addr().(*net.TCPAddr).Port); err != nil {
		return nil, errors.Join(err, k.stop())
	}
	return k, nil
}

// register makes the Node, on which no scheduler puts a pod, and renews its lease until ctx ends.
func (k *fakeKubelet) register(ctx context.Context, port int) error {
	now := metav1.Now()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: k.name},
		Spec: corev1.NodeSpec{
			Taints: []corev1.Taint{{Key: "indelible.dev/fake-kubelet", Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: now, LastTransitionTime: now,
			}},
		},
	}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port) //nolint:gosec // G115: a port
	if _, err := k.kube.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making a node: %w", err)
	}
	leases, seconds := k.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease), int32(40)
	lease, err := leases.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: k.name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &k.name, LeaseDurationSeconds: &seconds, RenewTime: &metav1.MicroTime{Time: now.Time},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making a node's lease: %w", err)
	}
	go func() {
		for sleep(ctx, 10*time.Second) == nil {
			lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
			if renewed, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err == nil {
				lease = renewed
			} else {
				note("renewing the lease of %s: %v", k.name, err)
			}
		}
	}()
	return nil
}

// stop takes the node away. The context of startFakeKubelet has ended by then.
func (k *fakeKubelet) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(k.server.Close(), k.kube.CoreV1().Nodes().Delete(ctx, k.name, metav1.DeleteOptions{}),
		k.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, k.name, metav1.DeleteOptions{}))
}

// add says what a container prints; nil forgets it, as when the pod is deleted.
func (k *fakeKubelet) add(c container, l *fakeLog) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.logs[c] = l; l == nil {
		delete(k.logs, c)
	}
}

// printed is how often a log that is followed is looked at: programs print in bursts.
const printed = 250 * time.Millisecond

// serveLog gives a log with timestamps. A stream that follows ends with the container.
func (k *fakeKubelet) serveLog(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	l := k.logs[container{r.PathValue("pod"), r.PathValue("container")}]
	k.mu.Unlock()
	if l == nil || r.FormValue("timestamps") != "true" {
		http.Error(w, "no such container, or no timestamps asked for", http.StatusNotFound)
		return
	}
	next := 0
	if since, err := time.Parse(time.RFC3339, r.FormValue("sinceTime")); err == nil {
		next = l.before(since)
	}
	to, flush := bufio.NewWriterSize(w, 32<<10), http.NewResponseController(w).Flush
	for {
		now := time.Now()
		for end := l.before(now); next < end; next++ {
			_, _ = to.WriteString(l.at(next).UTC().Format("2006-01-02T15:04:05.000000000Z07:00 "))
			_, _ = to.Write(l.line(next))
		}
		if to.Flush() != nil || flush() != nil || r.FormValue("follow") != "true" || !now.Before(l.ended) {
			return
		}
		if sleep(r.Context(), min(printed, l.ended.Sub(now))) != nil {
			return
		}
	}
}

// fakeLog is so many lines, of a block again and again, printed one by one until a moment before
// the container ended.
type fakeLog struct {
	block        [][]byte
	first, lines int
	began, ended time.Time
}

func (l *fakeLog) line(i int) []byte { return l.block[(l.first+i)%len(l.block)] }

func (l *fakeLog) every() time.Duration {
	return (l.ended.Sub(l.began) - 2*printed) / time.Duration(l.lines)
}

func (l *fakeLog) at(i int) time.Time { return l.began.Add(time.Duration(i) * l.every()) }

// before is how many lines were printed before a time.
func (l *fakeLog) before(t time.Time) int {
	n := (t.Sub(l.began) + l.every() - 1) / l.every()
	return int(min(max(n, 0), time.Duration(l.lines)))
}
