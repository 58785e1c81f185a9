package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kfactor/channel/wechat"
	"kfactor/channel/wechat/setup"
	"kfactor/internal/document"
	"kfactor/internal/fault"
	"kfactor/internal/settings"
)

// maxSetup bounds a channels file, in bytes.
const maxSetup = 1 << 20

func (a *app) channelCommand() *cobra.Command {
	return a.group("channel", "WeChat accounts: menus, replies and dialogues as a file; how they stand",
		"Accounts stand under `channels` in the settings file (--config). What they say by themselves is a file of its own.",
		a.channelPlanCommand(), a.channelApplyCommand(), a.channelStatusCommand(), a.channelCheckCommand(), a.channelMoveCommand(), a.channelCodeCommand(),
		a.channelValidateCommand(), a.channelSchemaCommand())
}

// withChannels is the work of a command that needs the configured accounts, beside a server that may be running.
func (a *app) withChannels(work func(ctx context.Context, c *wechat.Channels, args []string) error) func(context.Context, []string) error {
	return a.withHouse(func(ctx context.Context, h *house, args []string) error {
		if h.channels == nil {
			return errNoChannels()
		}
		return work(ctx, h.channels, args)
	})
}

// configured is an account's name as the settings have it.
func (a *app) configured(name string) error {
	if _, ok := a.settings.Channels[name]; ok {
		return nil
	}
	var names []string
	for name := range a.settings.Channels {
		names = append(names, name)
	}
	if len(names) == 0 {
		return fault.New(fault.NotFound, "channel %s is not configured; name it under `channels` in the settings file and give that with --config", name)
	}
	return fault.New(fault.NotFound, "channel %s is not configured; %s", name, settings.Suggest(name, names))
}

// readSetup reads and checks a channels file. Its problems are printed, one a line, as compilers do.
func (a *app) readSetup(file string) (*setup.File, error) {
	source, err := readBounded(file, maxSetup)
	if err != nil {
		return nil, err
	}
	f, problems := setup.Parse(source, file, a.settings.Link(nil))
	for _, p := range problems {
		fmt.Fprintln(a.stderr, oneLine(p.String()))
	}
	if len(problems) > 0 {
		return nil, errReported
	}
	return f, nil
}

// warn prints what is likely a mistake and hinders nothing.
func (a *app) warn(p document.Problem) {
	p.Message = "warning: " + p.Message
	fmt.Fprintln(a.stderr, oneLine(p.String()))
}

// warnOfTaps tells of buttons that neither the file nor a campaign that runs answers.
func (a *app) warnOfTaps(ctx context.Context, c *wechat.Channels, f *setup.File) error {
	for _, u := range f.Unanswered {
		answered, err := c.AnswersTap(ctx, u.Channel, u.Key)
		if err != nil {
			return err
		}
		if !answered {
			a.warn(u.Problem)
		}
	}
	return nil
}

func (a *app) channelValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE…", Short: "Check channels files without a database or a platform",
		Long: "Prints every problem of every file with file:line:column, the field, what is wrong and what to write instead.\n" +
			"Addresses that begin with {{public_url}} are checked with the configured one. Buttons whose key nothing in the file\n" +
			"answers are warned of; `plan` and `apply` know the campaigns that may.",
		Example: "  kfactor channel validate channels.yaml",
		Args:    takesSome("FILE"),
		RunE: a.do(func(_ context.Context, files []string) error {
			var failed error
			for _, file := range files {
				f, err := a.readSetup(file)
				switch {
				case err == nil:
					for _, u := range f.Unanswered {
						a.warn(u.Problem)
					}
					fmt.Fprintf(a.stdout, "%s is right\n", file)
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

func (a *app) channelSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of channels files, for editors", Example: "  kfactor channel schema > channels.schema.json",
		Args: noMore, Annotations: map[string]string{noSettings: ""},
		RunE: a.do(func(context.Context, []string) error {
			_, err := a.stdout.Write(setup.Schema())
			return err
		}),
	}
}

// channelPlan is what applying a file would change for one channel.
type channelPlan struct {
	Channel  string         `json:"channel"`
	Revision int            `json:"revision"` // stored; 0 for none
	Changes  []setup.Change `json:"changes"`  // of what is stored
	Menu     []setup.Change `json:"menu"`     // of the menu on the platform
	MenuKept bool           `json:"menu_kept"`
	Error    string         `json:"error,omitempty"` // why the platform's menu is not known
	source   string
	stored   string
	want     *setup.Channel
}

// planChannel compares one channel of a file with what is stored and with the platform. That the platform does not
// answer is said in the plan.
func planChannel(ctx context.Context, c *wechat.Channels, f *setup.File, want *setup.Channel) (p channelPlan, err error) {
	p = channelPlan{Channel: want.Name, Changes: []setup.Change{}, Menu: []setup.Change{}, MenuKept: !want.HasMenu, want: want, source: string(f.Source(want.Name))}
	if p.stored, p.Revision, err = c.Setup(ctx, want.Name); err != nil {
		return p, err
	}
	changes, err := setup.Changes(want.Name, []byte(p.stored), []byte(p.source))
	if err != nil {
		return p, err
	}
	p.Changes = append(p.Changes, changes...)
	if !want.HasMenu {
		return p, nil
	}
	have, err := c.Menu(ctx, want.Name)
	if err != nil {
		p.Error = "the menu on the platform is not known: " + platformTrouble(err)
		return p, nil
	}
	p.Menu = append(p.Menu, setup.MenuChanges(have, want.Menu)...)
	return p, nil
}

func (a *app) channelPlanCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "plan FILE", Short: "What applying a file would change: on the platform the menu, here all the rest",
		Example: "  kfactor channel plan channels.yaml --config kfactor.yaml",
		Args:    takes("FILE"),
		RunE: a.do(func(ctx context.Context, args []string) error {
			return a.eachChannel(ctx, args[0], func(ctx context.Context, c *wechat.Channels, f *setup.File) error {
				if err := a.warnOfTaps(ctx, c, f); err != nil {
					return err
				}
				plans := []channelPlan{}
				for _, want := range f.Channels {
					p, err := planChannel(ctx, c, f, want)
					if err != nil {
						return err
					}
					plans = append(plans, p)
				}
				if asJSON {
					return errors.Join(printJSON(a.stdout, map[string]any{"items": plans}), unknownMenus(plans))
				}
				for _, p := range plans {
					if err := a.printChannelPlan(p); err != nil {
						return err
					}
				}
				return unknownMenus(plans)
			})
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// eachChannel works on the channels of a file that is right, each of which is configured.
func (a *app) eachChannel(ctx context.Context, file string, work func(context.Context, *wechat.Channels, *setup.File) error) error {
	f, err := a.readSetup(file)
	if err != nil {
		return err
	}
	for _, c := range f.Channels {
		if err := a.configured(c.Name); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return a.withChannels(func(ctx context.Context, c *wechat.Channels, _ []string) error { return work(ctx, c, f) })(ctx, nil)
}

// unknownMenus is the failure of a plan that could not ask the platform.
func unknownMenus(plans []channelPlan) error {
	var said []string
	for _, p := range plans {
		if p.Error != "" {
			said = append(said, p.Channel+": "+p.Error)
		}
	}
	if len(said) == 0 {
		return nil
	}
	return errors.New(strings.Join(said, "; "))
}

func (a *app) printChannelPlan(p channelPlan) error {
	parts := []string{}
	switch {
	case p.Revision == 0:
		parts = append(parts, "nothing is stored yet")
	case len(p.Changes) == 0:
		parts = append(parts, fmt.Sprintf("revision %d is stored and says the same", p.Revision))
	default:
		parts = append(parts, fmt.Sprintf("revision %d is stored, %s would change", p.Revision, counted(len(p.Changes), "field")))
	}
	switch {
	case p.MenuKept:
		parts = append(parts, "the menu stays as it is")
	case p.Error != "":
		parts = append(parts, p.Error)
	case len(p.Menu) == 0:
		parts = append(parts, "the menu is the same on the platform")
	case len(p.want.Menu) == 0:
		parts = append(parts, "the menu on the platform would be deleted")
	default:
		parts = append(parts, fmt.Sprintf("%s of the menu on the platform would change", counted(len(p.Menu), "button")))
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", p.Channel, strings.Join(parts, "; "))
	var rows [][]string
	for _, c := range append(append([]setup.Change{}, p.Menu...), p.Changes...) {
		rows = append(rows, []string{c.Field, orDash(c.From), orDash(c.To)})
	}
	if len(rows) == 0 {
		return nil
	}
	return printTable(a.stdout, []string{"FIELD", "FROM", "TO"}, rows)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// appliedChannel is what came of applying a file for one channel.
type appliedChannel struct {
	Channel  string `json:"channel"`
	Revision int    `json:"revision"`
	Stored   bool   `json:"stored"` // as a new revision
	Menu     string `json:"menu"`   // kept, same, created, deleted or failed
	Error    string `json:"error,omitempty"`
}

func (a *app) channelApplyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Store a file, and give the platform the menu in it",
		Long: "Stores what each channel says as a new revision, which servers take up within seconds, and replaces the menu on the\n" +
			"platform where it differs. A file that changes nothing does nothing; what was left half done is done by applying again.\n" +
			"A channel without a `menu` key keeps the menu it has on the platform, `menu: []` deletes it, conditional ones too.",
		Example: "  kfactor channel apply channels.yaml --config kfactor.yaml",
		Args:    takes("FILE"),
		RunE: a.do(func(ctx context.Context, args []string) error {
			return a.eachChannel(ctx, args[0], func(ctx context.Context, c *wechat.Channels, f *setup.File) error {
				if err := a.warnOfTaps(ctx, c, f); err != nil {
					return err
				}
				done := []appliedChannel{}
				var failed []string
				for _, want := range f.Channels {
					v, err := applyChannel(ctx, c, f, want)
					if err != nil {
						return err
					}
					if done = append(done, v); v.Error != "" {
						failed = append(failed, v.Channel)
					}
					if !asJSON {
						fmt.Fprintln(a.stdout, v.sentence())
					}
				}
				if asJSON {
					if err := printJSON(a.stdout, map[string]any{"items": done}); err != nil {
						return err
					}
				}
				if len(failed) > 0 {
					return fmt.Errorf("the menu of %s is not as the file says; mend what the platform names and apply it again", strings.Join(failed, ", "))
				}
				return nil
			})
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// applyChannel stores what one channel says and sees to its menu. What the platform refuses is said in the result.
func applyChannel(ctx context.Context, c *wechat.Channels, f *setup.File, want *setup.Channel) (appliedChannel, error) {
	p, err := planChannel(ctx, c, f, want)
	if err != nil {
		return appliedChannel{}, err
	}
	v := appliedChannel{Channel: want.Name, Menu: "kept", Error: p.Error}
	if v.Revision, err = c.StoreSetup(ctx, want.Name, p.source); err != nil {
		return v, err
	}
	v.Stored = v.Revision != p.Revision
	switch {
	case p.MenuKept:
	case p.Error != "":
		v.Menu = "failed"
	case len(p.Menu) == 0:
		v.Menu = "same"
	default:
		if err := c.SetMenu(ctx, want.Name, want.Menu); err != nil {
			v.Menu, v.Error = "failed", "the menu on the platform is as it was: "+platformTrouble(err)
			return v, nil
		}
		if v.Menu = "created"; len(want.Menu) == 0 {
			v.Menu = "deleted"
		}
	}
	return v, nil
}

func (v appliedChannel) sentence() string {
	said := fmt.Sprintf("%s: unchanged, revision %d", v.Channel, v.Revision)
	if v.Stored {
		said = fmt.Sprintf("%s: stored as revision %d", v.Channel, v.Revision)
	}
	return said + map[string]string{
		"kept": "", "same": ", the menu is the same on the platform", "created": ", the menu is on the platform; phones show it within 5 minutes",
		"deleted": ", the menu on the platform is deleted", "failed": ", but " + v.Error,
	}[v.Menu]
}
