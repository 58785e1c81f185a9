// Command kfactor is the front door: commands, settings and wiring. What a campaign does is decided elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"kfactor/internal/settings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	os.Exit(report(err, os.Stderr))
}

// The ways a command ends.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // nothing was tried: unknown words, wrong counts, bad settings
)

// usageError is a command that was not understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a command whose every mistake was printed already.
var errReported = errors.New("reported")

// report prints what went wrong as one line and says how the program ends.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(stderr, "kfactor:", oneLine(plainly(err)))
	}
	var problems settings.Problems
	if _, misused := errors.AsType[usageError](err); misused || errors.As(err, &problems) {
		return exitUsage
	}
	return exitFailed
}

func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// app is one run of the program: the world outside it, and the flags that every command takes.
type app struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer

	configFile string
	settings   settings.Settings
	started    bool // a command was understood and its work began
}

// run is the whole program over a world that is handed in.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) error {
	a := &app{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.started {
		return usageError{err}
	}
	return err
}

func (a *app) root() *cobra.Command {
	root := a.group("kfactor", "A growth and referral-campaign engine",
		"Every user gets a personal QR code on a share poster; scans, follows and purchases come back as events;\n"+
			"tasks and tiers are credited, rewards granted within stock and budget, and the ledger balances.",
		a.demoCommand(), a.serveCommand(), a.migrateCommand(), a.campaignCommand(), a.posterCommand(), a.ledgerCommand(),
		a.explainCommand(), a.verifyCommand(), a.channelCommand(), a.keyCommand(), a.healthcheckCommand(), a.versionCommand())
	root.Example = "  kfactor demo\n  kfactor serve"
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(a.helpCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&a.configFile, "config", "", "settings file, such as kfactor.yaml")
	for _, s := range settings.All() {
		flags.String(s.Flag(), "", fmt.Sprintf("%s (%s, default %s)", s.Usage, s.Env(), s.Default))
	}
	root.PersistentPreRunE = a.load
	return root
}

// noSettings marks commands that work without any, so that a mistake in them does not stand in the way.
const noSettings = "no settings"

// load reads the settings before a command runs. A settings file that was named is checked in any case.
func (a *app) load(cmd *cobra.Command, _ []string) error {
	if err := checkRequired(cmd); err != nil {
		return err
	}
	if _, unneeded := cmd.Annotations[noSettings]; unneeded && a.configFile == "" {
		return nil
	}
	given := map[string]string{}
	for _, s := range settings.All() {
		if flag := cmd.Flag(s.Flag()); flag != nil && flag.Changed {
			given[s.Name] = flag.Value.String()
		}
	}
	var err error
	a.settings, err = settings.Load(a.configFile, a.environ, given)
	return err
}

// group is a command that only holds others, and shows an example of each.
func (a *app) group(name, short, long string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: name, Short: short, Long: long, Example: examplesOf(commands),
		Args:        cobra.ArbitraryArgs,
		Annotations: map[string]string{noSettings: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var known []string
			for _, c := range cmd.Commands() {
				known = append(known, c.Name())
			}
			return usage("%q is not a command of %s; %s", args[0], cmd.CommandPath(), settings.Suggest(args[0], known))
		},
	}
	group.AddCommand(commands...)
	return group
}

// do is the work of a command. Whatever failed before it began is wrong usage.
func (a *app) do(work func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return work(cmd.Context(), args)
	}
}

// getenv reads a variable that is no setting.
func (a *app) getenv(name string) string {
	for _, pair := range a.environ {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}
