package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kfactor/engine"
)

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain CAMPAIGN CODE", Short: "Why a participant stands where they stand",
		Long:    "Every event that touched a participant, in order, with its outcome, and each task, tier and grant with why it stands where it stands.",
		Example: "  kfactor explain spring-2026 7K2M9QX4TB",
		Args:    takes("CAMPAIGN", "CODE"),
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, args []string) error {
			x, err := e.Explain(ctx, args[0], args[1], true)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, x)
			}
			d, err := e.Definition(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printExplanation(x, d.Schedule.Location())
		})),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printExplanation shows times in the campaign's own zone.
func (a *app) printExplanation(x engine.ExplainView, zone *time.Location) error {
	p := x.Participant
	fmt.Fprintf(a.stdout, "%s  %s  joined %s\n\n", p.Code, p.Nickname, at(p.JoinedAt, zone))
	rows := make([][]string, len(x.Events))
	for i, e := range x.Events {
		seq := ""
		if e.Seq != nil {
			seq = fmt.Sprint(*e.Seq)
		}
		rows[i] = []string{seq, at(e.Time, zone), e.Type, e.ID, e.Outcome, e.Why}
	}
	if err := printTable(a.stdout, []string{"SEQ", "TIME", "TYPE", "EVENT", "OUTCOME", "WHY"}, rows); err != nil {
		return err
	}
	if x.Truncated {
		fmt.Fprintln(a.stdout, "… and more events than are shown")
	}
	for _, part := range []struct {
		head   string
		things []engine.ExplainedThing
	}{{"TASK", x.Tasks}, {"TIER", x.Tiers}, {"GRANT", x.Grants}} {
		if len(part.things) == 0 {
			continue
		}
		rows := make([][]string, len(part.things))
		for i, t := range part.things {
			rows[i] = []string{t.Name, t.State, t.Why}
		}
		fmt.Fprintln(a.stdout)
		if err := printTable(a.stdout, []string{part.head, "STATE", "WHY"}, rows); err != nil {
			return err
		}
	}
	return nil
}
