package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kfactor/engine"
)

func (a *app) ledgerCommand() *cobra.Command {
	return a.group("ledger", "The record of all value", "Export the ledger, or check it.", a.ledgerExportCommand(), a.ledgerVerifyCommand())
}

var exportFormats = []string{"csv", "xlsx", "parquet"}

func (a *app) ledgerExportCommand() *cobra.Command {
	var q engine.ExportQuery
	var format, from, to, out string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the ledger to a file or to standard output",
		Long: "Writes every entry, oldest first. From and to are days (2026-03-02, midnight in UTC) or times (RFC 3339):\n" +
			"entries posted at or after from, and before to.",
		Example: "  kfactor ledger export --campaign spring-2026 -o ledger.csv\n  kfactor ledger export --from 2026-03-01 --to 2026-04-01 -o march.xlsx",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if format == "" {
				format = formatOf(out)
			}
			if !slices.Contains(exportFormats, format) {
				return usage("%q is not a format; write --format csv, xlsx or parquet", format)
			}
			if q.From, err = moment("from", from); err != nil {
				return err
			}
			q.To, err = moment("to", to)
			return err
		},
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) error {
			if q.Campaign != "" {
				if _, err := e.Campaign(ctx, q.Campaign); err != nil {
					return err
				}
			}
			return a.writeTo(out, func(w io.Writer) error { return e.ExportLedger(ctx, w, format, q) })
		})),
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Campaign, "campaign", "", "only this campaign")
	flags.StringVar(&from, "from", "", "posted at or after this day or time")
	flags.StringVar(&to, "to", "", "posted before this day or time")
	flags.StringVar(&format, "format", "", "csv, xlsx or parquet (default: by the file's ending, else csv)")
	flags.StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	return cmd
}

// formatOf is the format that a file's ending stands for; csv for none.
func formatOf(out string) string {
	if ending := strings.TrimPrefix(strings.ToLower(filepath.Ext(out)), "."); slices.Contains(exportFormats, ending) {
		return ending
	}
	return "csv"
}

func moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("--%s: %q is neither a day such as 2026-03-02 nor a time such as 2026-03-02T10:00:00+08:00", name, text)
}

// writeTo writes to the file, which appears whole or not at all, or to standard output.
func (a *app) writeTo(out string, write func(io.Writer) error) (err error) {
	if out == "" || out == "-" {
		return buffered(a.stdout, write)
	}
	if there, err := os.Stat(out); err == nil && !there.Mode().IsRegular() { // a device or a pipe is not replaced
		f, err := os.OpenFile(out, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(buffered(f, write), f.Close())
	}
	draft, err := os.OpenFile(fmt.Sprintf("%s.%d.part", out, os.Getpid()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(draft.Name())
		}
	}()
	if err := errors.Join(buffered(draft, write), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), out)
}

func buffered(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriter(w)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

func (a *app) ledgerVerifyCommand() *cobra.Command {
	var campaign string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Compute the whole chain and every balance again",
		Long:    "Computes the hash of every entry and every balance again and compares. Ends with 1 where something differs.",
		Example: "  kfactor ledger verify\n  kfactor ledger verify --campaign spring-2026",
		Args:    cobra.NoArgs,
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) error {
			report, err := e.VerifyLedger(ctx, campaign)
			if err != nil {
				return err
			}
			if report.Problems == nil {
				report.Problems = []string{}
			}
			if asJSON {
				err = printJSON(a.stdout, report)
			} else if report.OK {
				_, err = fmt.Fprintf(a.stdout, "the ledger is whole: %d entries, head %s\n", report.Entries, report.Head)
			} else {
				for _, p := range report.Problems {
					fmt.Fprintln(a.stdout, oneLine(p))
				}
			}
			if err == nil && !report.OK {
				err = fmt.Errorf("the ledger is not whole: %d problems in %d entries", len(report.Problems), report.Entries)
			}
			return err
		})),
	}
	cmd.Flags().StringVar(&campaign, "campaign", "", "only this campaign (default: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
