package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// rule is an iptables rule of this tool. The comment marks it as ours.
type rule struct{ table, chain, spec string }

const ruleComment = "indelible-cluster"

// rules let pods out of the bridge, on machines whose policy is to drop what is forwarded, too.
var rules = []rule{
	{"nat", "POSTROUTING", "-s " + podRange + " ! -d " + podRange + " -m comment --comment " + ruleComment +
		" -j MASQUERADE"},
	{"filter", "FORWARD", "-i " + bridge + " -m comment --comment " + ruleComment + " -j ACCEPT"},
	{"filter", "FORWARD", "-o " + bridge + " -m comment --comment " + ruleComment + " -j ACCEPT"},
}

// makeNetwork makes the bridge with the node's address and the rules around it.
func makeNetwork(ctx context.Context) error {
	if err := rangeIsFree(ctx); err != nil {
		return err
	}
	if !isInterface(bridge) {
		if _, err := run(ctx, "", "ip", "link", "add", bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"address", "replace", nodeIP + "/24", "dev", bridge},
		{"link", "set", bridge, "up"}} {
		if _, err := run(ctx, "", "ip", args...); err != nil {
			return err
		}
	}
	for _, rule := range rules {
		spec := strings.Fields(rule.spec)
		if _, err := run(ctx, "", "iptables", append([]string{"-w", "-t", rule.table, "-C", rule.chain},
			spec...)...); err == nil {
			continue
		}
		if _, err := run(ctx, "", "iptables", append([]string{"-w", "-t", rule.table, "-I", rule.chain},
			spec...)...); err != nil {
			return err
		}
	}
	return nil
}

// rangeIsFree refuses a machine whose own network has the pods' addresses: it would lose part of
// it.
func rangeIsFree(ctx context.Context) error {
	listed, err := run(ctx, "", "ip", "-json", "-4", "address", "show")
	if err != nil {
		return err
	}
	var links []struct {
		Name      string `json:"ifname"`
		Addresses []struct {
			Local  string `json:"local"`
			Length int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(listed), &links); err != nil {
		return fmt.Errorf("read the addresses of this machine: %w", err)
	}
	for _, link := range links {
		for _, address := range link.Addresses {
			prefix, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", address.Local, address.Length))
			if err != nil || link.Name == bridge {
				continue
			}
			for _, ours := range []string{podRange, serviceRange} {
				if prefix.Overlaps(netip.MustParsePrefix(ours)) {
					return fmt.Errorf("%s of this machine has the address %s, which overlaps with the cluster's %s",
						link.Name, prefix,
						ours)
				}
			}
		}
	}
	return nil
}

// removeNetwork takes back what makeNetwork, the kubelet, kube-proxy and the CNI plugins made.
// Interfaces first: deleting one end of a pod's pair deletes the other.
func removeNetwork(ctx context.Context) error {
	var failed []error
	// The ports before the bridge: without it, nothing tells whose they are.
	failed = append(failed, settled(ctx, func() error { return deleteInterfaces(ctx, bridgePorts()) }),
		settled(ctx, func() error { return deleteInterfaces(ctx, []string{bridge}) }))
	for _, family := range []string{"iptables", "ip6tables"} {
		saved, err := run(ctx, "", family+"-save")
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if removal := removalOf(saved); removal != "" {
			_, err := run(ctx, removal, family+"-restore", "-w", "--noflush")
			failed = append(failed, err)
		}
	}
	// The connections of pods that are gone; conntrack exits with 1 when it finds none.
	for _, flag := range []string{"--orig-src", "--orig-dst", "--reply-src", "--reply-dst"} {
		for _, addresses := range []string{podRange, serviceRange} {
			_, _ = run(ctx, "", "conntrack", "-D", flag, addresses)
		}
	}
	return errors.Join(failed...)
}

// settleWithin bounds the wait for what the kernel removes itself when containers end: interfaces,
// mounts, control groups.
const settleWithin = 10 * time.Second

// settled repeats try until it succeeds, and returns its last error when the time is over.
func settled(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// deleteInterfaces fails while one of them exists. The kernel deletes those of a pod that just
// ended by itself, a moment later and perhaps between our look and our deletion, so an error alone
// says nothing.
func deleteInterfaces(ctx context.Context, names []string) error {
	var failed []error
	for _, name := range names {
		if _, err := run(ctx, "", "ip", "link", "delete", name); err != nil && isInterface(name) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func isInterface(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name))
	return err == nil
}

// bridgePorts lists the host ends of the pods' interfaces.
func bridgePorts() []string {
	entries, err := os.ReadDir(filepath.Join("/sys/class/net", bridge, "brif"))
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
