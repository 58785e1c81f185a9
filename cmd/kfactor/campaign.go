package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
		Long:    "Prints every problem of every file with file:line:column, the field, what is wrong and what to write instead.",
		Example: "  kfactor campaign validate spring.yaml autumn.yaml",
		Args:    cobra.MinimumNArgs(1), Annotations: map[string]string{noSettings: ""},
		RunE: a.do(func(_ context.Context, files []string) error {
			var failed error
			for _, file := range files {
				_, _, err := a.readDefinition(file)
				switch {
				case err == nil:
					fmt.Fprintf(a.stdout, "%s is right\n", file)
				case errors.Is(err, errReported):
					failed = err
				default:
					failed = errReported
					fmt.Fprintln(a.stderr, "kfactor:", oneLine(err.Error()))
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
		Args: cobra.NoArgs, Annotations: map[string]string{noSettings: ""},
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
		Args:    cobra.ExactArgs(1),
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
		Args:    cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error {
			d, source, err := a.readDefinition(args[0])
			if err != nil {
				return err
			}
			files, err := a.filesBeside(args[0], d)
			if err != nil {
				return err
			}
			return a.atOffice(ctx, server, func(ctx context.Context, o office) error {
				v, said, err := apply(ctx, o, d, source, args[0], files, launch)
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

// filesBeside reads the files that the definition names and that lie beside its own. What is missing is said: it may
// have been stored before, and launching asks for it in any case.
func (a *app) filesBeside(file string, d *campaign.Definition) ([]asset, error) {
	var files []asset
	for _, name := range d.Files() {
		path := filepath.Join(filepath.Dir(file), name)
		body, err := readBounded(path, poster.AssetLimits.Bytes)
		if fault.KindOf(err) == fault.NotFound {
			fmt.Fprintf(a.stderr, "kfactor: %s names %s, which is not beside it; what the campaign has already stays\n", file, name)
			continue
		}
		if err == nil {
			err = poster.CheckAsset(name, body)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, asset{name, body})
	}
	return files, nil
}

// apply stores a definition with its files and says in a sentence what came of it. Files of a campaign that exists
// go first, so that a revision never names a background that is not there yet.
func apply(ctx context.Context, o office, d *campaign.Definition, source []byte, filename string, files []asset, launch bool) (v engine.CampaignView, said string, err error) {
	plan, err := o.PlanCampaign(ctx, source, filename)
	if err != nil {
		return v, "", err
	}
	if len(plan.Refused) > 0 {
		return v, "", brokenPromises(plan)
	}
	var parts []string
	if !plan.Exists {
		if v, err = o.CreateCampaign(ctx, source, filename, byCommand); err != nil {
			return v, "", err
		}
		parts = append(parts, fmt.Sprintf("%s: stored as a draft", d.ID))
	}
	for _, f := range files {
		if _, err := o.PutAsset(ctx, d.ID, f.name, f.body); err != nil {
			return v, "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	switch {
	case plan.Exists && len(plan.Changes) == 0:
		if v, err = o.Campaign(ctx, d.ID); err != nil {
			return v, "", err
		}
		parts = append(parts, fmt.Sprintf("%s: unchanged, revision %d", d.ID, v.Revision))
	case plan.Exists:
		if v, err = o.ReviseCampaign(ctx, d.ID, source, filename, byCommand); err != nil {
			return v, "", err
		}
		parts = append(parts, fmt.Sprintf("%s: stored as revision %d, %s changed", d.ID, v.Revision, counted(len(plan.Changes), "field")))
	}
	if len(files) > 0 {
		parts = append(parts, counted(len(files), "file")+" taken along")
	}
	switch {
	case !launch && plan.Exists:
		parts = append(parts, string(v.Status))
	case !launch: // said already
	case v.Status == campaign.Live:
		parts = append(parts, "already live")
	default:
		if v, err = o.Turn(ctx, d.ID, "launch", byCommand); err != nil {
			return v, "", err
		}
		parts = append(parts, "launched")
	}
	return v, strings.Join(parts, ", "), nil
}

// counted is a number of things in words: 1 file, 2 files.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
