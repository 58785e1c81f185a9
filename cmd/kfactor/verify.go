package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kfactor/engine"
)

func (a *app) verifyCommand() *cobra.Command {
	var campaign string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Replay journals and compare everything that follows from them",
		Long: "Replays every event through the rules, in a scratch database in the temporary folder, and compares outcomes,\n" +
			"people, credits, rewards, grants, ledger and funnel with what is stored. Ends with 1 where something differs.",
		Example: "  kfactor verify\n  kfactor verify --campaign spring-2026",
		Args:    noMore,
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) error {
			report, err := e.Verify(ctx, campaign)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(a.stdout, report); err != nil {
					return err
				}
			} else {
				for _, p := range report.Problems {
					fmt.Fprintln(a.stdout, p)
				}
			}
			if !report.OK {
				return errors.New("what is stored does not follow from the journal")
			}
			if !asJSON {
				fmt.Fprintf(a.stdout, "all that is stored follows from the journal: %d events replayed\n", report.Events)
			}
			return nil
		})),
	}
	cmd.Flags().StringVar(&campaign, "campaign", "", "only this campaign")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
