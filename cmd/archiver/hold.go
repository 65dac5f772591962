package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

func newHold(c *common) *cobra.Command {
	o, text, release, result := getOptions{common: c}, retention.HoldText{}, false, false
	cmd := &cobra.Command{
		Use:   "hold NAMESPACE/NAME",
		Short: "Keep an archived run from being deleted, whatever retention policies say",
		Long: `Put a hold on an archived run, so that retention does not delete it or any other run of its run
tree, until the hold is taken off with --release. A run that has the annotation
` + retention.HoldAnnotation + ` when it is archived is held permanently.

With --result, NAME is that of a Result, and the hold is on what tools have written in it: neither
retention nor a tool can delete it.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.name(args[0]); err != nil {
				return err
			}
			if text.Reason == "" && !release {
				return &usageError{errors.New("--reason is required")}
			}
			if result {
				return holdResult(cmd.Context(), c, cmd, args[0], text, release)
			}
			return holdRun(cmd.Context(), cmd, &o, text, release)
		},
	}
	if u, err := user.Current(); err == nil {
		text.By = u.Username
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kind, "kind", "", kindHelp)
	flags.StringVar(&o.uid, "uid", "", "the run's UID, where several had the name")
	flags.StringVar(&text.Reason, "reason", "", "why the run is held, for people")
	flags.StringVar(&text.By, "by", text.By, "who holds it")
	flags.BoolVar(&result, "result", false, "hold what tools have written of a Result, not a run")
	flags.BoolVar(&release, "release", false, "take the hold off instead")
	return cmd
}

func holdResult(
	ctx context.Context, c *common, cmd *cobra.Command, name string, text retention.HoldText, release bool,
) error {
	a, err := c.openArchive(ctx, noIndex)
	if err != nil {
		return err
	}
	defer a.close()
	parent, result, _ := strings.Cut(name, "/")
	objects := object.New(a.store, a.cluster, time.Now)
	if !release {
		text.At = time.Now().UTC()
		if err = objects.Hold(ctx, parent, result, text); err == nil {
			cmd.Printf("the Result %s is held: %s\n", name, text.Reason)
		}
		return err
	}
	held, err := objects.Held(ctx, parent, result)
	if err != nil {
		return err
	}
	if held == nil {
		return fmt.Errorf("the Result %s has no hold that could be taken off", name)
	}
	if err = objects.Unhold(ctx, parent, result); err == nil {
		cmd.Printf("the hold on the Result %s is taken off: %s\n", name, held.Reason)
	}
	return err
}

func holdRun(ctx context.Context, cmd *cobra.Command, o *getOptions, text retention.HoldText, release bool) error {
	a, err := o.openArchive(ctx, readIndex)
	if err != nil {
		return err
	}
	defer a.close()
	run, err := o.find(ctx, a)
	if err != nil {
		return err
	}
	if release {
		return unhold(ctx, cmd, a, run)
	}
	text.At = time.Now().UTC()
	err = retention.Hold(ctx, a.store, a.cluster, run.ID(), text)
	if errors.Is(err, store.ErrExists) {
		held, err := retention.Held(ctx, a.store, a.cluster, run.ID())
		if err != nil || held == nil {
			return errors.Join(fmt.Errorf("%s is held already", named(run)), err)
		}
		return fmt.Errorf("%s is held already: %s", named(run), describeHold(held))
	}
	if err == nil {
		cmd.Printf("%s is held: %s\n", named(run), text.Reason)
	}
	return err
}

// unhold removes a hold. If there is none, the error names other kinds of holds.
func unhold(ctx context.Context, cmd *cobra.Command, a *archive, run *manifest.Commit) error {
	held, err := retention.Held(ctx, a.store, a.cluster, run.ID())
	if err != nil {
		return err
	}
	if held == nil {
		return fmt.Errorf(
			"%s has no hold that could be taken off; holds by the annotation %s, and on other runs of the same "+
				"run tree, stay", named(run), retention.HoldAnnotation)
	}
	if err := retention.Unhold(ctx, a.store, a.cluster, run.ID()); err != nil {
		return err
	}
	cmd.Printf("the hold on %s is taken off: %s\n", named(run), held.Reason)
	return nil
}

// describeHold returns why a run is held, by whom if known, and since when.
func describeHold(held *retention.HoldText) string {
	by := ""
	if held.By != "" {
		by = ", by " + held.By
	}
	return fmt.Sprintf("%s%s, since %s", held.Reason, by, held.At.Format(time.RFC3339))
}

func named(c *manifest.Commit) string {
	return strings.Join([]string{c.Run.Kind, c.Run.Namespace + "/" + c.Run.Name, c.Run.UID}, " ")
}
