package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kfactor/campaign"
	"kfactor/cmd/kfactor/remote"
	"kfactor/engine"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// maxDefinition bounds a campaign file, in bytes; nothing that is larger can be meant.
const maxDefinition = 1 << 20

// byCommand is who did it, in the journal.
const byCommand = "command line"

// office is where campaigns are kept: the database behind an engine, or a server.
type office interface {
	Campaign(ctx context.Context, id string) (engine.CampaignView, error)
	PlanCampaign(ctx context.Context, source []byte, filename string) (engine.Plan, error)
	CreateCampaign(ctx context.Context, source []byte, filename, by string) (engine.CampaignView, error)
	ReviseCampaign(ctx context.Context, id string, source []byte, filename, by string) (engine.CampaignView, error)
	PutAsset(ctx context.Context, id, name string, body []byte) (engine.AssetView, error)
	Turn(ctx context.Context, id, verb, by string) (engine.CampaignView, error)
}

func (a *app) campaignCommand() *cobra.Command {
	return a.group("campaign", "Campaign files", "Check campaign files, see what they would change, store and launch them.",
		a.validateCommand(), a.planCommand(), a.applyCommand(), a.schemaCommand())
}

func (a *app) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE…", Short: "Check campaign files without a server",
		Long: "Prints every problem of every file with file:line:column, the field, what is wrong and what to write instead.\n" +
			"Names the pictures and fonts that the campaign uses and that do not lie beside the file yet; when all do, the poster\n" +
			"is printed and read back as phones would, see `kfactor poster check`.",
		Example: "  kfactor campaign validate spring.yaml autumn.yaml",
		Args:    takesSome("FILE"), Annotations: map[string]string{noSettings: ""},
		RunE: a.do(func(_ context.Context, files []string) error {
			var failed error
			for _, file := range files {
				d, _, err := a.readDefinition(file)
				switch {
				case err == nil:
					if absent := absentFiles(file, d); len(absent) > 0 {
						fmt.Fprintf(a.stdout, "%s is right\n", file)
						fmt.Fprintf(a.stdout, "%s: not beside the file yet: %s\n", file, strings.Join(absent, ", "))
					} else if err := engine.Legible(d, 0, beside(file)); err != nil {
						failed = a.printFields(file, err)
					} else {
						fmt.Fprintf(a.stdout, "%s is right\n", file)
					}
				case errors.Is(err, errReported):
					failed = err
				default:
					failed = errReported
					fmt.Fprintln(a.stderr, "kfactor:", oneLine(plainly(err)))
				}
			}
			return failed
		}),
	}
}

// readDefinition reads and checks a campaign file. Its problems are printed, one a line, as compilers do.
func (a *app) readDefinition(file string) (*campaign.Definition, []byte, error) {
	source, err := readBounded(file, maxDefinition)
	if err != nil {
		return nil, nil, err
	}
	d, problems := engine.Preflight(source, file)
	for _, p := range problems {
		fmt.Fprintln(a.stderr, oneLine(p.String()))
	}
	if len(problems) > 0 {
		return nil, nil, errReported
	}
	return d, source, nil
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of campaign files, for editors", Example: "  kfactor campaign schema > campaign.schema.json",
		Args: noMore, Annotations: map[string]string{noSettings: ""},
		RunE: a.do(func(context.Context, []string) error {
			_, err := a.stdout.Write(campaign.Schema())
			return err
		}),
	}
}

func (a *app) planCommand() *cobra.Command {
	var server string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "plan FILE", Short: "What applying a file would change against what is stored",
		Example: "  kfactor campaign plan spring.yaml\n  kfactor campaign plan spring.yaml --server https://fans.example.com",
		Args:    takes("FILE"),
		RunE: a.do(func(ctx context.Context, args []string) error {
			_, source, err := a.readDefinition(args[0])
			if err != nil {
				return err
			}
			return a.atOffice(ctx, server, func(ctx context.Context, o office) error {
				plan, err := o.PlanCampaign(ctx, source, args[0])
				if err != nil {
					return a.printFields(args[0], err)
				}
				if asJSON {
					err = printJSON(a.stdout, plan)
				} else {
					err = a.printPlan(plan)
				}
				return errors.Join(err, a.printRefused(args[0], plan))
			})
		}),
	}
	cmd.Flags().StringVar(&server, "server", "", "a server's address; KFACTOR_KEY holds the key (default: the configured database)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printPlan(plan engine.Plan) error {
	switch {
	case !plan.Exists:
		fmt.Fprintf(a.stdout, "%s is new\n", plan.ID)
	case len(plan.Changes) == 0:
		fmt.Fprintf(a.stdout, "%s is %s and would not change\n", plan.ID, plan.Status)
	default:
		fmt.Fprintf(a.stdout, "%s is %s and would become revision %d\n", plan.ID, plan.Status, plan.Revision)
	}
	if plan.Exists && len(plan.Changes) > 0 {
		rows := make([][]string, len(plan.Changes))
		for i, c := range plan.Changes {
			rows[i] = []string{c.Field, c.From, c.To}
		}
		return printTable(a.stdout, []string{"FIELD", "FROM", "TO"}, rows)
	}
	return nil
}

// printRefused prints the promises that a plan would break, and is the failure where it would.
func (a *app) printRefused(file string, plan engine.Plan) error {
	if len(plan.Refused) == 0 {
		return nil
	}
	return a.printFields(file, brokenPromises(plan))
}

func brokenPromises(plan engine.Plan) error {
	broken := fault.New(fault.Conflict, "%s is %s, and this file would break promises to people who are in it", plan.ID, plan.Status)
	broken.Fields = plan.Refused
	return broken
}

// printFields prints each field that a failure names on a line of its own, with its place in the file.
func (a *app) printFields(file string, err error) error {
	said, ok := errors.AsType[*fault.Error](err)
	if !ok || len(said.Fields) == 0 {
		return err
	}
	for _, f := range said.Fields {
		place := file
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", file, f.Line, f.Column)
		}
		fmt.Fprintf(a.stderr, "%s: %s: %s\n", place, f.Field, oneLine(f.Message))
	}
	fmt.Fprintln(a.stderr, "kfactor:", oneLine(said.Message))
	return errReported
}

func (a *app) applyCommand() *cobra.Command {
	var server string
	var launch, asJSON bool
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Store a file as a new revision, with the files it names",
		Long: "Stores the campaign as a new revision; files that it names (background, logo) are taken from beside FILE.\n" +
			"A file that changes nothing stores nothing. --launch also starts a draft.",
		Example: "  kfactor campaign apply spring.yaml --launch\n  KFACTOR_KEY=… kfactor campaign apply spring.yaml --server https://fans.example.com",
		Args:    takes("FILE"),
		RunE: a.do(func(ctx context.Context, args []string) error {
			d, source, err := a.readDefinition(args[0])
			if err != nil {
				return err
			}
			files, absent, err := filesBeside(args[0], d)
			if err != nil {
				return err
			}
			return a.atOffice(ctx, server, func(ctx context.Context, o office) error {
				v, said, err := apply(ctx, o, order{d, source, args[0], files, absent, launch})
				if err != nil {
					return a.printFields(args[0], err)
				}
				if asJSON {
					return printJSON(a.stdout, v)
				}
				_, err = fmt.Fprintln(a.stdout, said)
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&server, "server", "", "a server's address; KFACTOR_KEY holds the key (default: the configured database)")
	cmd.Flags().BoolVar(&launch, "launch", false, "start the campaign if it is a draft")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the campaign as JSON")
	return cmd
}

// atOffice works on the server, where one is named, else on the configured database.
func (a *app) atOffice(ctx context.Context, server string, work func(context.Context, office) error) error {
	if server == "" {
		return a.withEngine(func(ctx context.Context, e *engine.Engine, _ []string) error { return work(ctx, e) })(ctx, nil)
	}
	key := a.getenv("KFACTOR_KEY")
	if key == "" {
		return usage("--server needs a key in KFACTOR_KEY; `kfactor key create --role operator` on the server's machine prints one")
	}
	o, err := remote.New(server, key, nil)
	if err != nil {
		return usage("--server: %w", err)
	}
	return work(ctx, o)
}

// asset is a file that a definition names.
type asset struct {
	name string
	body []byte
}

// absentFiles are the files that the definition names and that do not lie beside its own.
func absentFiles(file string, d *campaign.Definition) []string {
	return slices.DeleteFunc(d.Files(), func(name string) bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(file), name))
		return err == nil
	})
}

// filesBeside reads the files that the definition names and that lie beside its own. Those that do not may have been
// stored before.
func filesBeside(file string, d *campaign.Definition) (files []asset, absent []string, err error) {
	for _, name := range d.Files() {
		path := filepath.Join(filepath.Dir(file), name)
		body, err := readBounded(path, poster.AssetLimits.Bytes)
		if fault.KindOf(err) == fault.NotFound {
			absent = append(absent, name)
			continue
		}
		if err == nil {
			if err = poster.CheckAsset(name, body); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
		if err != nil {
			return nil, nil, err
		}
		files = append(files, asset{name, body})
	}
	return files, absent, nil
}

// order is what is to be applied.
type order struct {
	definition *campaign.Definition
	source     []byte
	file       string
	files      []asset
	absent     []string // files it names that do not lie beside it
	launch     bool
}

// apply stores a definition with its files and says in a sentence what came of it. Files of a campaign that exists
// go first, so that a revision never names a background that is not there yet.
func apply(ctx context.Context, o office, w order) (v engine.CampaignView, said string, err error) {
	id := w.definition.ID
	plan, err := o.PlanCampaign(ctx, w.source, w.file)
	if err != nil {
		return v, "", err
	}
	if len(plan.Refused) > 0 {
		return v, "", brokenPromises(plan)
	}
	var parts []string
	if !plan.Exists {
		if _, err = o.CreateCampaign(ctx, w.source, w.file, byCommand); err != nil {
			return v, "", err
		}
		parts = append(parts, fmt.Sprintf("%s: stored as a draft", id))
	}
	for _, f := range w.files {
		if _, err := o.PutAsset(ctx, id, f.name, f.body); err != nil {
			return v, "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if plan.Exists && len(plan.Changes) > 0 {
		if _, err = o.ReviseCampaign(ctx, id, w.source, w.file, byCommand); err != nil {
			if lacking := w.lacking(err); len(lacking) > 0 {
				return v, "", fmt.Errorf("%s: nothing is stored, for it is %s and %s", id, plan.Status, w.missing(lacking))
			}
			return v, "", err
		}
	}
	if v, err = o.Campaign(ctx, id); err != nil {
		return v, "", err
	}
	switch {
	case plan.Exists && len(plan.Changes) == 0:
		parts = append(parts, fmt.Sprintf("%s: unchanged, revision %d", id, v.Revision))
	case plan.Exists:
		parts = append(parts, fmt.Sprintf("%s: stored as revision %d, %s changed", id, v.Revision, counted(len(plan.Changes), "field")))
	}
	if len(w.files) > 0 {
		parts = append(parts, counted(len(w.files), "file")+" taken along")
	}
	switch {
	case !w.launch && plan.Exists:
		parts = append(parts, string(v.Status))
	case !w.launch: // said already
	case v.Status == campaign.Live:
		parts = append(parts, "already live")
	default:
		launched, err := o.Turn(ctx, id, "launch", byCommand)
		if err != nil {
			return v, "", w.notLaunched(strings.Join(parts, ", "), err)
		}
		v, parts = launched, append(parts, "launched")
	}
	said = strings.Join(parts, ", ")
	if len(v.Missing) > 0 {
		said += "; before it can be launched: " + w.missing(v.Missing)
	}
	return v, said, nil
}

// notLaunched is a launch that was refused, after what was done before it.
func (w order) notLaunched(done string, err error) error {
	if lacking := w.lacking(err); len(lacking) > 0 {
		return fmt.Errorf("%s, but not launched: %s", done, w.missing(lacking))
	}
	return fmt.Errorf("%s, but not launched: %w", done, err)
}

// lacking are the files that a refusal is about, where it is about those that are absent.
func (w order) lacking(err error) []string {
	said, ok := errors.AsType[*fault.Error](err)
	if !ok || said.Kind != fault.Conflict {
		return nil
	}
	var names []string
	for _, f := range said.Fields {
		if !slices.Contains(w.absent, f.Field) {
			return nil
		}
		names = append(names, f.Field)
	}
	return names
}

// missing says which files are to be brought, and how.
func (w order) missing(names []string) string {
	verb, them := "are", "them"
	if len(names) == 1 {
		verb, them = "is", "it"
	}
	return fmt.Sprintf("%s %s missing; put %s beside %s and apply it again", strings.Join(names, ", "), verb, them, w.file)
}

// counted is a number of things in words: 1 file, 2 files, 3 entries.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "ry"); ok {
		return fmt.Sprintf("%d %sries", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
