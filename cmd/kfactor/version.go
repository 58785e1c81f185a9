package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is the release this is built as.
const version = "0.1.0"

// stamp is the revision this is built from, where the linker was told (-X main.stamp=…, as `make build` does).
var stamp string

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Version, commit, Go version", Example: "  kfactor version",
		Args: noMore, Annotations: map[string]string{noSettings: ""},
		RunE: a.do(func(context.Context, []string) error {
			if asJSON {
				return printJSON(a.stdout, map[string]string{"version": version, "commit": commit(), "go": runtime.Version()})
			}
			_, err := fmt.Fprintln(a.stdout, versionLine())
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func versionLine() string {
	return fmt.Sprintf("kfactor %s, commit %s, %s", version, commit(), runtime.Version())
}

// commit is the revision this was built from: the one that was stamped, else as the Go tool recorded it.
func commit() string {
	if stamp != "" {
		return stamp
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	var revision, changed string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return cmp.Or(revision, "unknown") + changed
}
