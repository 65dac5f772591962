package node

import "testing"

func TestStateOf(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"finds the folder of a cluster": {[]string{"/state/bin/etcd", "--name=indelible-node",
			"--data-dir=/state/etcd"}, "/state"},
		"leaves another etcd alone":              {[]string{"/usr/bin/etcd", "--name=default"}, ""},
		"leaves a program that names ours":       {[]string{"/usr/bin/grep", "--name=indelible-node"}, ""},
		"leaves a kernel thread, without a line": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := stateOf(test.args); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
