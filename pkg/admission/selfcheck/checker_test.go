package selfcheck

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// looks is a Checker whose looks find what the test says, one by one.
type looks struct {
	*Checker
	next    func() (Finding, error)
	changes []string
	log     strings.Builder
}

func newLooks() *looks {
	l := &looks{}
	l.Checker = New(Options{
		Question: "whether the grant is guarded",
		Inspect: func(context.Context) (Look, error) {
			found, err := l.next()
			if err != nil {
				return nil, err
			}
			return &found, nil
		},
		Changed: func(_ context.Context, topic Topic, problem string) {
			l.changes = append(l.changes, topic.Wrong+": "+problem)
		},
		Log: funcr.New(func(_, args string) { l.log.WriteString(args + "\n") }, funcr.Options{}),
	})
	return l
}

var (
	guarded   = Finding{usual: true, granted: true}
	ungranted = Finding{gaps: []gap{{piece{kindPolicy, "indelible-results"}, "does not exist"}}}
	noBinding = Finding{usual: true, granted: true,
		gaps: []gap{{piece{kindBinding, "indelible-results"}, "does not exist"}}}
	noLocks = Finding{usual: true, granted: true, gaps: []gap{{piece{kindGuard, "indelible-guard"}, "does not exist"},
		{piece{kindPolicy, "indelible-results"}, "has failurePolicy Ignore, not Fail"}, {piece{kindBinding,
			"indelible-results"}, "does not exist"}}}
	errAway = errors.New("connection refused")
)

const (
	noBindingText = "service accounts may write taskruns/status, but what guards these writes is not all in place: " +
		"ValidatingAdmissionPolicyBinding/indelible-results does not exist. " +
		"Put it back: kubectl apply -k config/policy; or revoke the grant: kubectl delete -k config/rbac --ignore-not-found"
	noLocksText = "service accounts may write taskruns/status, but what guards these writes is not all in place: " +
		"MutatingWebhookConfiguration/indelible-guard does not exist; ValidatingAdmissionPolicy/indelible-results has " +
		"failurePolicy Ignore, not Fail; " +
		"ValidatingAdmissionPolicyBinding/indelible-results does not exist. " +
		"Put it back: kubectl apply -k config/webhook && kubectl apply -k config/policy; or revoke the grant: kubectl " +
		"delete -k config/rbac --ignore-not-found"
)

func TestChecker(t *testing.T) {
	type look struct {
		found Finding
		err   error
	}
	tests := []struct {
		name     string
		looks    []look
		ready    string // what /readyz says in the end, "" if ready
		changes  []string
		lines    int     // in the log
		looked   float64 // when the last look with an answer began, in seconds; looks are 10 s apart, from 10
		failures float64
		metric   map[string]float64
	}{
		{name: "is ready before it has looked"},
		{name: "is ready while the grant is guarded", looked: 20, looks: []look{{found: guarded}, {found: guarded}}},
		{name: "is ready while nothing is granted, whatever is missing", looked: 10, looks: []look{{found: ungranted}}},
		{name: "is not ready while a piece is missing, and says so once", looked: 40,
			looks: []look{{found: guarded}, {found: noBinding}, {found: noBinding}, {found: noBinding}},
			ready: noBindingText, changes: []string{"UnguardedGrant: " + noBindingText}, lines: 1,
			metric: map[string]float64{"ValidatingAdmissionPolicyBinding/indelible-results": 1}},
		{name: "says when more is missing", looked: 20, looks: []look{{found: noBinding}, {found: noLocks}},
			ready: noLocksText, changes: []string{"UnguardedGrant: " + noBindingText, "UnguardedGrant: " + noLocksText},
			lines: 2,
			metric: map[string]float64{"MutatingWebhookConfiguration/indelible-guard": 1,
				"ValidatingAdmissionPolicy/indelible-results":        1,
				"ValidatingAdmissionPolicyBinding/indelible-results": 1}},
		{name: "is ready again when the piece is back", looked: 20, looks: []look{{found: noBinding}, {found: guarded}},
			changes: []string{"UnguardedGrant: " + noBindingText,
				"UnguardedGrant: "}, lines: 2},
		{name: "is ready again when the grant is gone", looked: 20, looks: []look{{found: noLocks}, {found: ungranted}},
			changes: []string{"UnguardedGrant: " + noLocksText,
				"UnguardedGrant: "}, lines: 2},
		{name: "stays ready when the API server cannot be asked, and says so once", looked: 10,
			looks: []look{{found: guarded}, {err: errAway}, {err: errAway}}, lines: 1, failures: 2},
		{name: "stays not ready when the API server cannot be asked", looked: 30,
			looks: []look{{found: noBinding}, {err: errAway}, {found: noBinding}},
			ready: noBindingText, changes: []string{"UnguardedGrant: " + noBindingText}, lines: 3, failures: 1,
			metric: map[string]float64{"ValidatingAdmissionPolicyBinding/indelible-results": 1}},
		{
			name: "starts ready though the API server cannot be asked", looks: []look{{err: errAway}}, lines: 1,
			failures: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLooks()
			for i, look := range tt.looks {
				l.Now = func() time.Time { return time.Unix(int64(i+1)*10, 0) }
				l.next = func() (Finding, error) { return look.found, look.err }
				l.check(context.Background())
			}
			ready := ""
			if err := l.Ready(); err != nil {
				ready = err.Error()
			}
			if ready != tt.ready {
				t.Errorf("ready: %q, want %q", ready, tt.ready)
			}
			if strings.Join(l.changes, "\n") != strings.Join(tt.changes, "\n") {
				t.Errorf("told of %q, want %q", l.changes, tt.changes)
			}
			if n := strings.Count(l.log.String(), "\n"); n != tt.lines {
				t.Errorf("%d lines in the log, want %d:\n%s", n, tt.lines, &l.log)
			}
			if got := value(t, l.Metrics.failures); got != tt.failures {
				t.Errorf("%v failures counted, want %v", got, tt.failures)
			}
			if got := value(t, l.Metrics.looked); got != tt.looked {
				t.Errorf("last looked at %v, want %v", got, tt.looked)
			}
			for _, p := range []string{"MutatingWebhookConfiguration/indelible-guard",
				"ValidatingAdmissionPolicy/indelible-results", "ValidatingAdmissionPolicyBinding/indelible-results"} {
				if got := value(t, l.Metrics.unguarded.WithLabelValues(p)); got != tt.metric[p] {
					t.Errorf("indelible_unguarded_grant of %s is %v, want %v", p, got, tt.metric[p])
				}
			}
		})
	}
}

func TestCheckerLooksAtOnceAndAtEachTick(t *testing.T) {
	ticks, looked := make(chan time.Time), make(chan struct{})
	c := New(Options{Ticks: ticks, Inspect: func(ctx context.Context) (Look, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a look has no bound")
		}
		looked <- struct{}{}
		return &guarded, nil
	}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	<-looked
	for range 2 {
		ticks <- time.Time{}
		<-looked
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var got dto.Metric
	if err := m.Write(&got); err != nil {
		t.Fatal(err)
	}
	return got.GetGauge().GetValue() + got.GetCounter().GetValue()
}
