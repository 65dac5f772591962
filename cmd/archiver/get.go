package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

type getOptions struct {
	*common
	namespace, run  string
	kind, uid       string
	step, container string
	output          string
	log, events     bool
}

func newGet(c *common) *cobra.Command {
	o := getOptions{common: c}
	cmd := &cobra.Command{
		Use:   "get NAMESPACE/NAME",
		Short: "Read an archived run: summary, logs, events",
		Long: `Read an archived run from the archive: a summary, or its logs, or its events, or with -o json the
run as it was in the cluster. Of several runs that had the name it reads the newest, or the one with
--uid. The content is compared with its digests; a damaged object is an error.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.name(args[0]); err != nil {
				return err
			}
			if (o.step != "" || o.container != "") && !o.log {
				return &usageError{errors.New("--step and --container go with --log")}
			}
			if o.output != "summary" && o.output != "json" {
				return &usageError{fmt.Errorf("--output %q: must be summary or json", o.output)}
			}
			return o.get(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kind, "kind", "", kindHelp)
	flags.StringVar(&o.uid, "uid", "", "the run's UID, where several had the name")
	flags.StringVarP(&o.output, "output", "o", "summary", "summary or json")
	flags.BoolVar(&o.log, "log", false, "write the logs instead: of all containers in order, or of --step or "+
		"--container; of a PipelineRun, of all its TaskRuns")
	flags.StringVar(&o.step, "step", "", "with --log: only the log of the step of this name, of the last attempt")
	flags.StringVar(&o.container, "container", "",
		"with --log: only that of this container, such as sidecar-proxy or prepare, of the last attempt")
	flags.BoolVar(&o.events, "events", false, "write the events instead, as JSON")
	cmd.MarkFlagsMutuallyExclusive("log", "events", "output")
	cmd.MarkFlagsMutuallyExclusive("step", "container")
	return cmd
}

const kindHelp = "TaskRun, PipelineRun or CustomRun; empty: any"

// checkKind returns an error for an unknown kind.
func checkKind(kind string) error {
	if kind != "" && !slices.Contains([]string{"TaskRun", "PipelineRun", "CustomRun"}, kind) {
		return &usageError{fmt.Errorf("--kind %q: must be TaskRun, PipelineRun or CustomRun", kind)}
	}
	return nil
}

// name parses the argument, and checks --kind.
func (o *getOptions) name(arg string) error {
	if err := checkKind(o.kind); err != nil {
		return err
	}
	var ok bool
	if o.namespace, o.run, ok = strings.Cut(arg, "/"); !ok || o.namespace == "" || o.run == "" {
		return &usageError{fmt.Errorf("%q is not NAMESPACE/NAME", arg)}
	}
	return nil
}

func (o *getOptions) get(ctx context.Context, out io.Writer) error {
	a, err := o.openArchive(ctx, readIndex)
	if err != nil {
		return err
	}
	defer a.close()
	c, err := o.find(ctx, a)
	if err != nil {
		return err
	}
	switch {
	case o.log && c.Run.Kind == "PipelineRun":
		return o.pipelineLogs(ctx, a, c, out)
	case o.log:
		return o.writeLogs(ctx, a.store, c, out)
	case o.events:
		return write(ctx, a.store, c, out, manifest.Events)
	case o.output == "json":
		return write(ctx, a.store, c, out, manifest.Record)
	}
	held, err := retention.Held(ctx, a.store, a.cluster, c.ID())
	if err != nil {
		return err
	}
	return o.summary(c, held, out)
}

// find returns the commit of the newest run of that name. The index says where it is; the commit is
// read from the store.
func (o *getOptions) find(ctx context.Context, a *archive) (*manifest.Commit, error) {
	q := index.Query{Cluster: string(a.cluster), Namespace: o.namespace, Name: o.run, Kind: o.kind}
	for row, err := range a.index.Find(ctx, q) {
		if err != nil {
			return nil, err
		}
		if o.uid != "" && row.Commit.Run.UID != o.uid {
			continue
		}
		key, err := row.Commit.Key()
		if err != nil {
			return nil, err
		}
		return manifest.Read(ctx, a.store, key)
	}
	if complete, err := a.index.Complete(ctx, string(a.cluster)); err != nil || !complete {
		return nil, errors.Join(err, errIncomplete)
	}
	asked := strings.Fields(o.kind + " " + o.namespace + "/" + o.run + " " + o.uid)
	return nil, fmt.Errorf("%w: %s", errNoSuchRun, strings.Join(asked, " "))
}

// write writes a part of the run, and a newline.
func write(ctx context.Context, from store.Store, c *manifest.Commit, out io.Writer, of manifest.PartType) error {
	for i := range c.Parts {
		if c.Parts[i].Type == of {
			if err := copyPart(ctx, from, &c.Parts[i], out); err != nil {
				return err
			}
			_, err := fmt.Fprintln(out)
			return err
		}
	}
	return fmt.Errorf("the run has no %s in the archive", of)
}

func copyPart(ctx context.Context, from store.Store, p *manifest.Part, out io.Writer) error {
	content, err := manifest.Open(ctx, from, p)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, content.Close())
}

// writeLogs writes logs one after the other, each under a line that names it if there are several.
// For an incomplete log the reason goes to standard error.
func (o *getOptions) writeLogs(ctx context.Context, from store.Store, c *manifest.Commit, out io.Writer) error {
	var logs []*manifest.Part
	var there []string
	for i := range c.Parts {
		p := &c.Parts[i]
		if p.Type != manifest.Log {
			continue
		}
		there = append(there, p.Container)
		if o.wants(p, lastAttempt(c)) {
			logs = append(logs, p)
		}
	}
	if len(logs) == 0 {
		return fmt.Errorf("%w; it has those of the containers: %s", errNoLog,
			cmp.Or(strings.Join(slices.Compact(there), ", "), "none"))
	}
	for _, p := range logs {
		if p.State != manifest.Complete {
			_, _ = fmt.Fprintf(o.stderr, "the log of %s, attempt %d, is %s: %s\n", p.Container, p.Attempt+1, p.State,
				p.Reason)
		}
		if p.State == manifest.Missing {
			continue
		}
		if len(logs) > 1 {
			if _, err := fmt.Fprintf(out, "--> %s, attempt %d\n", p.Container, p.Attempt+1); err != nil {
				return err
			}
		}
		if err := copyPart(ctx, from, p, out); err != nil {
			return err
		}
	}
	return nil
}

// wants reports whether a log is asked for.
func (o *getOptions) wants(p *manifest.Part, last int) bool {
	switch {
	case o.step != "":
		return p.Container == "step-"+o.step && p.Attempt == last
	case o.container != "":
		return p.Container == o.container && p.Attempt == last
	}
	return true
}

// errIncomplete: the run is not in the index, which does not have the whole archive yet.
var errIncomplete = errors.New("the index has neither the run nor all of the archive yet: try again after archiver " +
	"index sync, which the archiver runs when it starts, or check that archive.cluster is the cluster's name in the " +
	"archive")

var errNoLog = errors.New("the run has no such log in the archive")

func lastAttempt(c *manifest.Commit) int {
	last := 0
	for i := range c.Parts {
		last = max(last, c.Parts[i].Attempt)
	}
	return last
}

func (o *getOptions) summary(c *manifest.Commit, held *retention.HoldText, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	line := func(name, value string) { _, _ = fmt.Fprintf(w, "%s:\t%s\n", name, value) }
	line(c.Run.Kind, c.Run.Namespace+"/"+c.Run.Name)
	line("UID", c.Run.UID)
	line("Result", c.Run.Namespace+"/results/"+c.Run.Result)
	line("Status", strings.TrimSpace(c.Run.Status+" "+c.Run.Reason))
	line("Created", c.Run.Created.Format(time.RFC3339))
	if c.Run.Completed != nil {
		line("Completed", c.Run.Completed.Format(time.RFC3339))
	}
	line("Archived", fmt.Sprintf("%s by archiver %s, cluster %s",
		c.CommittedAt.Format(time.RFC3339), c.Versions.Archiver, c.Cluster))
	if held != nil {
		line("Held", describeHold(held))
	}
	for i := range c.Parts {
		line(describe(&c.Parts[i]))
	}
	return w.Flush()
}

func describe(p *manifest.Part) (name, value string) {
	name = string(p.Type)
	if p.Type == manifest.Log {
		name = fmt.Sprintf("log %s, attempt %d", p.Container, p.Attempt+1)
	}
	value = string(p.State)
	if p.Content != nil {
		value += fmt.Sprintf(", %d bytes", p.Content.Bytes)
	}
	if p.Reason != "" {
		value += ": " + p.Reason
	}
	return name, value
}
