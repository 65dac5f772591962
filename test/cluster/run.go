package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/test/cluster/build"
	"github.com/indelible-ci/indelible/test/cluster/lock"
	"github.com/indelible-ci/indelible/test/cluster/node"
)

// command is one verb.
type command struct {
	name, args, summary string
	// flags may be nil; it registers the verb's own flags and returns what runs after they are
	// parsed.
	setup func(c *cli, flags *flag.FlagSet) func(ctx context.Context, args []string) error
}

// cli is what all verbs share.
type cli struct {
	state  string
	out    io.Writer
	log    func(format string, args ...any)
	getenv func(string) string
}

func (c *cli) node() node.State { return node.State(c.state) }

func (c *cli) cache() *build.Cache { return &build.Cache{Dir: build.DefaultDir(c.getenv), Log: c.log} }

// machineLock is one for the machine, whatever the state folder: addresses, ports and rules are
// there once.
const machineLock = "/run/indelible-cluster.lock"

// alone lets one up or down run at a time, and none beside a cluster of another folder.
func (c *cli) alone(ctx context.Context) (release func(), err error) {
	release, err = lock.Hold(ctx, machineLock, func() {
		c.log("waiting for another up or down of a cluster on this " +
			"machine to end")
	})
	if err != nil {
		return nil, err
	}
	if err := c.node().CheckAlone(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

const defaultState = "/var/lib/indelible-cluster"

var commands = []command{
	{"up", "", "build what is missing, start what does not run, install Tekton", setupUp},
	{"down", "", "end it and leave nothing on this machine but its folder and the builds", setupDown},
	{"status", "", "print components, node, Tekton and versions; fails unless everything runs", setupStatus},
	{"check-clean", "", "list what a cluster left on this machine; fails if there is anything", setupCheckClean},
	{"load", "ARCHIVE…", "import image archives (OCI or docker) into the cluster", setupLoad},
	{"images", "", "assemble an image archive from a static binary", setupImages},
	{"push", "ARCHIVE REFERENCE", "send an assembled image to a registry, for an existing cluster", setupPush},
	{
		"restart", "COMPONENT", "end one component without ceremony and start it again, for tests of faults",
		setupRestart,
	},
	{"cut", "POD-IP", "drop what a pod sends to the API server, for tests of faults", setupCut},
	{"kubeconfig", "", "print the path of the administrator's kubeconfig", setupKubeconfig},
	{"kubectl", "ARGS…", "run the cluster's own kubectl as its administrator", nil},
}

// run runs one verb. kubectl's arguments are its own, so they are not parsed here.
func run(ctx context.Context, args []string) error {
	// iptables and others are in folders that su leaves out of the PATH.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return err
	}
	start := time.Now()
	c := &cli{state: stateDir(os.Getenv), out: os.Stdout, getenv: os.Getenv, log: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(start).Round(time.Second), fmt.Sprintf(format, args...))
	}}
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		usage(c.out)
		return nil
	}
	if args[0] == "kubectl" {
		return c.kubectl(args[1:])
	}
	for _, command := range commands {
		if command.name == args[0] {
			return c.dispatch(ctx, command, args[1:])
		}
	}
	return fmt.Errorf("no command is called %q; see --help", args[0])
}

func (c *cli) dispatch(ctx context.Context, command command, args []string) error {
	flags := flag.NewFlagSet(command.name, flag.ContinueOnError)
	flags.StringVar(&c.state, "state", c.state, "folder of the cluster; also $INDELIBLE_CLUSTER_STATE")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "cluster %s [flags] %s\n  %s\n\nFlags:\n", command.name, command.args,
			command.summary)
		flags.PrintDefaults()
	}
	verb := command.setup(c, flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if command.args == "" && flags.NArg() > 0 {
		return fmt.Errorf("%s takes no arguments, got %s", command.name, strings.Join(flags.Args(), " "))
	}
	var err error
	if c.state, err = filepath.Abs(c.state); err != nil {
		return err
	}
	return verb(ctx, flags.Args())
}

func stateDir(getenv func(string) string) string {
	if dir := getenv("INDELIBLE_CLUSTER_STATE"); dir != "" {
		return dir
	}
	return defaultState
}

func usage(out io.Writer) {
	fmt.Fprint(out, `cluster runs a real Kubernetes node with Tekton Pipelines on this machine: etcd, API server, controller manager, scheduler,
kubelet, kube-proxy and containerd, compiled from pinned Go modules, with runc, CNI plugins and busybox from Debian.
It needs root, Linux and Go. The first up compiles for 10 to 20 minutes on two cores; later ones take under a minute.

Commands:
`)
	for _, command := range commands {
		fmt.Fprintf(out, "  %-28s %s\n", command.name+" "+command.args, command.summary)
	}
	fmt.Fprintf(out, `
"cluster COMMAND --help" lists the flags of a command.

Folders: the cluster is in $INDELIBLE_CLUSTER_STATE (default %s), logs of all components in its folder logs;
builds are kept in $INDELIBLE_CACHE (default ${XDG_CACHE_HOME:-$HOME/.cache}/indelible).
Exit code: 0 if the command did what it says, else 1.
`, defaultState)
}
