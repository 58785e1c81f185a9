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
		Long: "Writes every entry, oldest first, of one campaign or of all. --from and --to are days (2026-03-02), in the\n" +
			"campaign's time zone or without --campaign in UTC, and both are part of it; or times (RFC 3339): posted at or\n" +
			"after --from and before --to.",
		Example: "  kfactor ledger export --campaign spring-2026 -o ledger.csv\n" +
			"  kfactor ledger export --campaign spring-2026 --from 2026-03-01 --to 2026-03-31 -o march.xlsx\n" +
			"  kfactor ledger export --from 2026-03-01T00:00:00+08:00 --to 2026-04-01T00:00:00+08:00 -o march.parquet",
		Args: noMore,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if format, err = exportFormat(format, out); err != nil {
				return err
			}
			_, _, err = period(from, to, time.UTC) // only the campaign knows its zone
			return err
		},
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) (err error) {
			zone := time.UTC
			if q.Campaign != "" {
				d, err := e.Definition(ctx, q.Campaign)
				if err != nil {
					return err
				}
				zone = d.Schedule.Location()
			}
			if q.From, q.To, err = period(from, to, zone); err != nil {
				return err
			}
			if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
				return usage("--to %s is not after --from %s", to, from)
			}
			return a.writeTo(out, func(w io.Writer) error { return e.ExportLedger(ctx, w, format, q) })
		})),
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Campaign, "campaign", "", "only this campaign")
	flags.StringVar(&from, "from", "", "the first day, or a time")
	flags.StringVar(&to, "to", "", "the last day, or a time before which")
	flags.StringVar(&format, "format", "", "csv, xlsx or parquet (default: by the file's ending, else csv)")
	flags.StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	return cmd
}

// exportFormat is the format that was asked for; where none was, the one of the file's ending, and csv without one.
func exportFormat(format, out string) (string, error) {
	ending := strings.TrimPrefix(strings.ToLower(filepath.Ext(out)), ".")
	switch {
	case slices.Contains(exportFormats, format):
		return format, nil
	case format != "":
		return "", usage("--format: %q is not a format; write csv, xlsx or parquet", format)
	case ending == "":
		return "csv", nil
	case slices.Contains(exportFormats, ending):
		return ending, nil
	}
	return "", usage("--output: %q ends in none of .csv, .xlsx and .parquet; change that, or say which it is with --format", out)
}

// period is the time from the beginning of the first to the end of the last: days lie in the zone and are part of it
// whole, times are what they are. Zero is open.
func period(first, last string, zone *time.Location) (from, to time.Time, err error) {
	if from, _, err = moment("from", first, zone); err != nil {
		return from, to, err
	}
	to, day, err := moment("to", last, zone)
	if day {
		to = to.AddDate(0, 0, 1)
	}
	return from, to, err
}

// moment is a day, of which it is the beginning, or a time; zero for none.
func moment(name, text string, zone *time.Location) (t time.Time, day bool, err error) {
	if text == "" {
		return t, false, nil
	}
	if t, err = time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		day = true
	} else {
		t, err = time.Parse(time.RFC3339, text)
	}
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return t, false, usage("--%s: %q is neither a day such as 2026-03-02 nor a time such as 2026-03-02T10:00:00+08:00", name, text)
	}
	return t, day, nil
}

// writeTo writes to the file, which appears whole or not at all, or to standard output.
func (a *app) writeTo(out string, write func(io.Writer) error) (err error) {
	if out == "" || out == "-" {
		return buffered(a.stdout, write)
	}
	defer func() { err = cannotWrite(out, err) }()
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
		Args:    noMore,
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
				_, err = fmt.Fprintln(a.stdout, whole(report))
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

// whole is the sentence about books that are in order. The last entry's hash is there for one ledger alone.
func whole(report engine.LedgerReport) string {
	said := fmt.Sprintf("the ledger is whole: %s", counted(int(report.Entries), "entry"))
	if report.Head != "" {
		said += ", head " + report.Head
	}
	return said
}
