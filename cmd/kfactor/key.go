package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kfactor/engine"
	"kfactor/internal/fault"
	"kfactor/internal/settings"
)

func (a *app) keyCommand() *cobra.Command {
	return a.group("key", "API keys",
		"Roles: owner (all), operator (campaigns, posters, participants), reviewer (review queue), finance (grants,\n"+
			"ledger, exports), viewer (reads, without personal data), ingest (may only send participants and events, and tie members).",
		a.keyCreateCommand(), a.keyListCommand(), a.keyRevokeCommand())
}

func (a *app) keyCreateCommand() *cobra.Command {
	var role, name string
	cmd := &cobra.Command{
		Use: "create --role ROLE [--name NAME]", Short: "Make a key and print it, this once, alone on standard output",
		Example: "  export KFACTOR_KEY=$(kfactor key create --role operator --name 'growth team')",
		Args:    noMore,
		PreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(engine.Roles, role) {
				return usage("--role: %q is not a role; %s", role, settings.Suggest(role, engine.Roles))
			}
			return nil
		},
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) error {
			secret, _, err := e.CreateKey(ctx, role, name)
			if fault.KindOf(err) == fault.Invalid {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, secret)
			return err
		})),
	}
	cmd.Flags().StringVar(&role, "role", "", "owner, operator, reviewer, finance, viewer or ingest")
	cmd.Flags().StringVar(&name, "name", "", "what the key is for")
	must(cmd.MarkFlagRequired("role"))
	return cmd
}

func (a *app) keyListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "All keys, without their secrets", Example: "  kfactor key list",
		Args: noMore,
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) error {
			keys, err := e.Keys(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, engine.List[engine.KeyView]{Items: append([]engine.KeyView{}, keys...)})
			}
			rows := make([][]string, len(keys))
			for i, k := range keys {
				revoked := ""
				if k.RevokedAt != nil {
					revoked = at(*k.RevokedAt, time.UTC)
				}
				rows[i] = []string{k.ID, k.Role, k.Name, at(k.CreatedAt, time.UTC), revoked}
			}
			return printTable(a.stdout, []string{"ID", "ROLE", "NAME", "CREATED", "REVOKED"}, rows)
		})),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) keyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a key for good", Example: "  kfactor key revoke key_cebaf095e814", Args: takes("ID"),
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, args []string) error {
			if err := e.RevokeKey(ctx, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.stdout, "key %s is revoked\n", args[0])
			return err
		})),
	}
}

// must is for mistakes of this program itself, which every start would show.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
