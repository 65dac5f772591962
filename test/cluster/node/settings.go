package node

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
)

// settings of the kernel that the cluster changes: ours is forwarding, the kubelet sets the others.
var settings = []string{
	"/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom",
	"/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops", "/proc/sys/kernel/keys/root_maxkeys",
	"/proc/sys/kernel/keys/root_maxbytes",
}

func (s State) savedSettings() string { return s.path("settings.json") }

// saveSettings remembers the kernel's settings before the first start, and turns on the first of
// them, forwarding.
func (s State) saveSettings(paths []string) error {
	if _, err := os.Stat(s.savedSettings()); errors.Is(err, os.ErrNotExist) {
		values := map[string]string{}
		for _, path := range paths {
			if value, err := os.ReadFile(path); err == nil {
				values[path] = strings.TrimSpace(string(value))
			}
		}
		content, err := json.Marshal(values)
		if err != nil {
			return err
		}
		if err := writeWhole(s.savedSettings(), content); err != nil {
			return err
		}
	}
	return os.WriteFile(paths[0], []byte("1"), 0o600)
}

// restoreSettings puts the kernel's settings back as they were.
func (s State) restoreSettings() error {
	content, err := os.ReadFile(s.savedSettings())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var values map[string]string
	if err := json.Unmarshal(content, &values); err != nil {
		return err
	}
	var failed []error
	for path, value := range values {
		now, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(now)) != value {
			failed = append(failed, os.WriteFile(path, []byte(value), 0o600))
		}
	}
	return errors.Join(append(failed, os.Remove(s.savedSettings()))...)
}
