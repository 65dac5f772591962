package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// describe prints the machine and versions.
func (b *bench) describe(ctx context.Context) error {
	version, err := b.cluster.Kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("reading the version of the cluster: %w", err)
	}
	flushes, err := flushTimes(b.folder)
	if err != nil {
		return err
	}
	tekton := "unknown"
	if info, err := b.cluster.Kube.CoreV1().ConfigMaps("tekton-pipelines").Get(ctx, "pipelines-info",
		metav1.GetOptions{}); err == nil {
		tekton = info.Data["version"]
	}
	fmt.Fprintf(b.out, "- Machine: %d cores (%s), %s of memory, kernel %s; load average at the start %s.\n",
		runtime.NumCPU(), field("/proc/cpuinfo", "model name"), memory(), line("/proc/sys/kernel/osrelease"),
		line("/proc/loadavg"))
	fmt.Fprintf(b.out, "- Disk: writing 4 KiB and fsync takes %.1f ms (p50), %.1f ms (p99).\n",
		ms(quantile(flushes, .5)),
		ms(quantile(flushes, .99)))
	fmt.Fprintf(b.out, "- Kubernetes %s, Tekton Pipelines %s, %s.\n", version.GitVersion, tekton, runtime.Version())
	return nil
}

// flushTimes measures fsync as an archive in a directory uses it.
func flushTimes(folder string) ([]time.Duration, error) {
	var all []time.Duration
	page := make([]byte, 4096)
	for i := range 200 {
		file, err := os.Create(filepath.Join(folder, fmt.Sprintf("flush-%d", i)))
		if err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
		began := time.Now()
		if _, err = file.Write(page); err == nil {
			err = file.Sync()
		}
		all = append(all, time.Since(began))
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
		_ = os.Remove(file.Name())
	}
	return all, nil
}

func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// field returns the first value of a name in a file of "name: value" lines.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func memory() string {
	var kib int64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
}
