package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kfactor/internal/spelling"
)

// What libraries say about a command line or a file, in words for whoever typed it.

// takes is the arguments of a command that needs exactly these, by the names that its help gives them.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage("%s needs %s; write: %s", name(cmd), strings.Join(names[len(args):], " and "), synopsis(cmd))
		}
		return noMore(cmd, args[len(names):])
	}
}

// takesSome is the arguments of a command that needs one or more of them.
func takesSome(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s needs at least one %s; write: %s", name(cmd), what, synopsis(cmd))
		}
		return nil
	}
}

// noMore refuses what a command has no use for.
func noMore(cmd *cobra.Command, extra []string) error {
	if len(extra) > 0 {
		return usage("%q is too much for %s; write: %s", extra[0], name(cmd), synopsis(cmd))
	}
	return nil
}

// name is a command without the program's own.
func name(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

func synopsis(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return cmd.Use
	}
	return cmd.Parent().CommandPath() + " " + cmd.Use
}

// checkRequired names the flags that a command cannot do without and that were not given, with their meaning.
func checkRequired(cmd *cobra.Command) error {
	var lacking []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !f.Changed {
			lacking = append(lacking, fmt.Sprintf("--%s (%s)", f.Name, f.Usage))
		}
	})
	if len(lacking) > 0 {
		return usage("%s needs %s", name(cmd), strings.Join(lacking, " and "))
	}
	return nil
}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, unknown)
	}
	if alone, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		f := alone.GetFlag()
		return usage("--%s needs a value after it: %s", f.Name, f.Usage)
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usage("--%s: %q is %s", wrong.GetFlag().Name, wrong.GetValue(), misfit(wrong))
	}
	if odd, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return usage("%q is not a flag; flags look like --name or --name=value", odd.GetSpecifiedFlag())
	}
	return usageError{err}
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	written, advice := "-"+unknown.GetSpecifiedName(), cmd.CommandPath()+" --help lists those it has"
	if unknown.GetSpecifiedShortnames() == "" {
		written = "-" + written
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if meant, ok := spelling.Nearest(unknown.GetSpecifiedName(), known); ok {
			advice = "did you mean --" + meant + "?"
		}
	}
	return usage("%s has no flag %s; %s", name(cmd), written, advice)
}

// misfit is why a text is no value of a flag, as the end of a sentence.
func misfit(wrong *pflag.InvalidValueError) string {
	if errors.Is(wrong, strconv.ErrRange) {
		return "too large or too small"
	}
	switch wrong.GetFlag().Value.Type() {
	case "bool":
		return "neither true nor false"
	case "int":
		return "not a whole number"
	case "uint64":
		return "not a whole number from 0 on"
	}
	return "not understood"
}

// helpCommand is `kfactor help`, which other than the library's own fails for what there is no help about.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND…]", Short: "Help about a command", Example: "  kfactor help campaign apply",
		Annotations: map[string]string{noSettings: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command %q; `kfactor --help` lists them", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// examplesOf gives a group the first example of each of its commands.
func examplesOf(commands []*cobra.Command) string {
	var lines []string
	for _, c := range commands {
		first, _, _ := strings.Cut(c.Example, "\n")
		lines = append(lines, first)
	}
	return strings.Join(lines, "\n")
}

// plainly is a failure with what the system says about files put into words.
func plainly(err error) string {
	said := err.Error()
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		said = strings.ReplaceAll(said, failed.Error(), fileTrouble(failed))
	}
	return said
}

func fileTrouble(failed *fs.PathError) string {
	switch {
	case failed.Op == "mkdir":
		return fmt.Sprintf("%s: %v", failed.Path, failed.Err)
	case errors.Is(failed, fs.ErrNotExist):
		return "there is no file " + failed.Path
	case errors.Is(failed, syscall.EISDIR):
		return failed.Path + " is a folder, not a file"
	case errors.Is(failed, fs.ErrPermission):
		return "this user may not use the file " + failed.Path
	}
	return fmt.Sprintf("the file %s: %v", failed.Path, failed.Err)
}

// cannotWrite is why a file could not be written, under the name that the user gave it.
func cannotWrite(out string, err error) error {
	var cause error
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		cause = failed.Err
	} else if failed, ok := errors.AsType[*os.LinkError](err); ok {
		cause = failed.Err
	}
	switch folder := filepath.Dir(out); {
	case err == nil || cause == nil:
		return err
	case errors.Is(cause, fs.ErrNotExist) || errors.Is(cause, syscall.ENOTDIR):
		return fmt.Errorf("cannot write %s: there is no folder %s where files can be made", out, folder)
	case errors.Is(cause, fs.ErrPermission):
		return fmt.Errorf("cannot write %s: this user may not write to %s", out, folder)
	}
	return fmt.Errorf("cannot write %s: %w", out, cause)
}

// at is a time for people to read, with its zone.
func at(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }
