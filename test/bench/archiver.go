package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running archiver with its own folder.
type process struct {
	cmd     *exec.Cmd
	folder  string
	metrics string
	ended   chan struct{}
	// log is closed when the process has ended and its output is complete.
	log *os.File
}

func build(ctx context.Context, module, output, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", output, program)
	cmd.Dir = module
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", program, err)
	}
	return nil
}

// setting configures an archiver of the bench. Without a store it uses a directory.
type setting struct {
	store, logs string
	environment []string
}

// start starts an archiver in its own folder, with the settings of the Deployment in
// config/archive.
func (b *bench) startArchiver(ctx context.Context, name string, s setting) (*process, error) {
	p := &process{folder: filepath.Join(b.folder, name), ended: make(chan struct{})}
	if err := os.MkdirAll(p.folder, 0o750); err != nil {
		return nil, err
	}
	file := filepath.Join(p.folder, "config.yaml")
	text := fmt.Sprintf("apiVersion: config.indelible.dev/v1alpha1\nkind: Configuration\npublisher: {image: none}\n"+
		"archive: {cluster: bench, store: %q, index: %q, logs: %s}\n", orElse(s.store, "file://"+p.store()),
		"sqlite://"+
			p.index(), s.logs)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	addresses, err := freePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	p.metrics = "http://" + addresses[0] + "/metrics"
	//nolint:gosec // G702: the archiver that is measured
	p.cmd = exec.Command(b.archiver, "run", "--class="+b.class, "--leader-elect=false", "--kubeconfig="+
		os.Getenv("KUBECONFIG"),
		"--config="+file,
		"--spool="+filepath.Join(p.folder, "spool"), "--metrics-address="+addresses[0],
		"--health-address="+addresses[1])
	p.cmd.Env = append(append(os.Environ(), "GOGC=50", "GOMEMLIMIT=130MiB"), s.environment...)
	if p.log, err = os.Create(filepath.Join(p.folder, "log")); err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting an archiver: %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) store() string { return filepath.Join(p.folder, "archive") }
func (p *process) index() string { return filepath.Join(p.folder, "index.db") }

// stop ends it, and returns its peak memory in bytes.
func (p *process) stop() (int64, error) {
	peak, err := peakMemory(p.cmd.Process.Pid)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.ended
		err = errors.Join(err, errors.New("the archiver did not end within a minute"))
	}
	return peak, errors.Join(err, p.log.Close())
}

// ready waits until it has read the state of the cluster.
func (b *bench) ready(ctx context.Context, p *process) error {
	return b.until(ctx, "the archiver has read the state of the cluster", func() (bool, error) {
		select {
		case <-p.ended:
			text, _ := os.ReadFile(p.log.Name())
			return false, fmt.Errorf("the archiver ended: %.1000s", text)
		default:
		}
		samples, err := p.samples(ctx)
		return err == nil && samples.sum("indelible_archive_watch_synced") == 4, nil
	})
}

// samples are metrics by name and labels.
type samples map[string]float64

// sum adds up the samples of a metric that have the given labels.
func (s samples) sum(name string, labels ...string) float64 {
	sum := 0.0
	for key, value := range s {
		is, rest, _ := strings.Cut(key, "{")
		if is == name && hasAll(rest, labels) {
			sum += value
		}
	}
	return sum
}

func hasAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func (p *process) samples(ctx context.Context) (samples, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	defer answer.Body.Close()
	all := samples{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if value, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil {
			all[lines.Text()[:at]] = value
		}
	}
	return all, lines.Err()
}

// s3Server is a running test/storage/cmd/s3.
type s3Server struct {
	cmd   *exec.Cmd
	stdin io.Closer
	setting
}

// startS3 starts a server on the measured disk, without its fault proxy.
func (b *bench) startS3(name string) (*s3Server, error) {
	folder := filepath.Join(b.folder, name)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	cmd := exec.Command(b.s3, "-stdin", "-directory", folder)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting an S3 server: %w", err)
	}
	var said struct {
		Direct, Store string
		Environment   map[string]string
	}
	text := bufio.NewScanner(stdout)
	for text.Scan() && !strings.HasPrefix(text.Text(), "{") { // skip the gateway's own output
	}
	if err := errors.Join(text.Err(), json.Unmarshal(text.Bytes(), &said)); err != nil {
		return nil, errors.Join(fmt.Errorf("starting an S3 server: %w", err), stdin.Close(), cmd.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	s := &s3Server{cmd: cmd, stdin: stdin}
	s.store, err = throughNoProxy(said.Store, said.Direct)
	for name, value := range said.Environment {
		s.environment = append(s.environment, name+"="+value)
	}
	return s, err
}

func (s *s3Server) stop() error { return errors.Join(s.stdin.Close(), s.cmd.Wait()) }

func throughNoProxy(store, direct string) (string, error) {
	u, err := url.Parse(store)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("endpoint", direct)
	u.RawQuery = query.Encode()
	return u.String(), nil
}
