package node

import (
	"context"
	"strings"
	"testing"
)

func TestCutRule(t *testing.T) {
	for name, tt := range map[string]struct {
		ip    string
		error bool
	}{
		"allow the address of a pod":                 {ip: "10.244.0.17"},
		"forbid the node's own address":              {ip: "10.244.0.1", error: true},
		"forbid an address outside the pods' range":  {ip: "192.0.2.1", error: true},
		"forbid what is no address":                  {ip: "0.0.0.0/0", error: true},
		"forbid what iptables would take for a flag": {ip: "--flush", error: true},
	} {
		t.Run(name, func(t *testing.T) {
			rule, err := cutRule(tt.ip)
			if (err != nil) != tt.error {
				t.Fatalf("got error %v", err)
			}
			if err == nil && !ours("-A "+strings.Join(rule, " ")) {
				t.Error("down and check-clean would not know the rule as the cluster's")
			}
		})
	}
}

func TestRestartOfWhatDoesNotRun(t *testing.T) {
	err := State(t.TempDir()).Restart(context.Background(), "kube-apiserver")
	if err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("got %v, want an error that says that it does not run", err)
	}
}
