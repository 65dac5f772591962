package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// crashPatience is what Restart leaves a component to end by itself: less than it needs to finish
// what it has begun.
const crashPatience = time.Second

// Restart ends one component, as roughly as a crash, and starts it with the arguments it has in Up.
// It returns when the component is ready.
func (s State) Restart(ctx context.Context, name string) error {
	if s.running(name) == 0 {
		return fmt.Errorf("%s does not run in %s", name, s)
	}
	client, err := s.httpClient()
	if err != nil {
		return err
	}
	all := s.components()
	c := all[slices.IndexFunc(all, func(c component) bool { return c.name == name })] // it runs, so it is one of ours
	if err := s.stop(c.name, crashPatience); err != nil {
		return err
	}
	if err := s.start(c); err != nil {
		return err
	}
	return s.waitReady(ctx, client, c)
}

// Cut drops everything that a pod sends to the API server, as a cable would that is cut: no answer,
// no refusal. With mend the rule goes again. Both may be repeated.
func Cut(ctx context.Context, podIP string, mend bool) error {
	rule, err := cutRule(podIP)
	if err != nil {
		return err
	}
	_, absent := run(ctx, "", "iptables", append([]string{"--wait", "--check"}, rule...)...)
	switch {
	case mend && absent == nil:
		_, err = run(ctx, "", "iptables", append([]string{"--wait", "--delete"}, rule...)...)
	case !mend && absent != nil:
		_, err = run(ctx, "", "iptables", append([]string{"--wait", "--insert"}, rule...)...)
	}
	return err
}

// cutRule carries the comment by which down and check-clean know a rule as the cluster's. Packets
// to the API server's service have its own address and port by the time they reach INPUT.
func cutRule(podIP string) ([]string, error) {
	_, pods, err := net.ParseCIDR(podRange)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(podIP); ip == nil || !pods.Contains(ip) || ip.String() == nodeIP {
		return nil, fmt.Errorf("%q is not the address of a pod in %s", podIP, podRange)
	}
	return []string{"INPUT", "--source", podIP, "--protocol", "tcp", "--dport", "6443",
		"--match", "comment", "--comment", ruleComment, "--jump", "DROP"}, nil
}
