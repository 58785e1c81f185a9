package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kfactor/engine"
)

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	var eventID, language string
	cmd := &cobra.Command{
		Use: "explain CAMPAIGN CODE", Short: "Why a participant stands where they stand, or what an event led to",
		Long: "Every event that touched a participant, in order, with its outcome; each task, tier and grant; what they were\n" +
			"owed to hear; and for each tier the chain scan, follow, attribution, rule, hold, tier, stock, grant, with the first\n" +
			"step that stopped it and what would change that. With --event that event alone, and without CODE one event of\n" +
			"anybody.",
		Example: "  kfactor explain spring-2026 7K2M9QX4TB\n  kfactor explain spring-2026 --event shop-991 --lang zh",
		Args: func(cmd *cobra.Command, args []string) error {
			if language != "" && language != "en" && language != "zh" {
				return usage("--lang: %q is no language here; write en or zh", language)
			}
			if cmd.Flag("event").Changed && len(args) == 1 {
				return nil
			}
			return takes("CAMPAIGN", "CODE")(cmd, args)
		},
	}
	cmd.RunE = a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, args []string) error {
		d, err := e.Definition(ctx, args[0])
		if err != nil {
			return err
		}
		t := teller{a, d.Schedule.Location(), language == "zh" || language == "" && a.readsChinese()}
		if len(args) == 1 {
			x, err := e.ExplainEvent(ctx, args[0], eventID, true)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, x)
			}
			t.event(x)
			return nil
		}
		var x engine.ExplainView
		if cmd.Flag("event").Changed {
			x, err = e.ExplainTouch(ctx, args[0], args[1], eventID, true)
		} else {
			x, err = e.Explain(ctx, args[0], args[1], true)
		}
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(a.stdout, x)
		}
		return t.participant(x, cmd.Flag("event").Changed)
	}))
	cmd.Flags().StringVar(&eventID, "event", "", "explain the event with this id alone")
	cmd.Flags().StringVar(&language, "lang", "", "language of the texts: en or zh (default: as the terminal's)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, in both languages")
	return cmd
}

// readsChinese says whether the terminal is set to Chinese.
func (a *app) readsChinese() bool {
	set := map[string]string{}
	for _, pair := range a.environ {
		name, value, _ := strings.Cut(pair, "=")
		set[name] = value
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if set[name] != "" {
			return strings.HasPrefix(set[name], "zh")
		}
	}
	return false
}

// teller prints explanations in one language, with times in the campaign's own zone.
type teller struct {
	*app
	zone    *time.Location
	chinese bool
}

func (t teller) say(en, zh string) string {
	if t.chinese {
		return zh
	}
	return en
}

func (t teller) participant(x engine.ExplainView, oneEvent bool) error {
	p := x.Participant
	fmt.Fprintf(t.stdout, "%s  %s  %s %s\n\n", p.Code, p.Nickname, t.say("joined", "参加于"), at(p.JoinedAt, t.zone))
	if oneEvent {
		t.event(x.Events[0])
		return nil
	}
	rows := make([][]string, len(x.Events))
	for i, e := range x.Events {
		seq := ""
		if e.Seq != nil {
			seq = fmt.Sprint(*e.Seq)
		}
		rows[i] = []string{seq, at(e.Time, t.zone), e.Type, e.ID, e.Outcome, t.say(e.Why, e.WhyZH)}
	}
	if err := printTable(t.stdout, []string{"SEQ", "TIME", "TYPE", "EVENT", "OUTCOME", "WHY"}, rows); err != nil {
		return err
	}
	if x.Truncated {
		fmt.Fprintln(t.stdout, t.say("… and more events than are shown", "……还有更多事件未显示"))
	}
	for _, part := range []struct {
		head   string
		things []engine.ExplainedThing
	}{{"TASK", x.Tasks}, {"TIER", x.Tiers}, {"GRANT", x.Grants}} {
		if len(part.things) == 0 {
			continue
		}
		rows := make([][]string, len(part.things))
		for i, thing := range part.things {
			rows[i] = []string{thing.Name, thing.State, t.say(thing.Why, thing.WhyZH)}
		}
		fmt.Fprintln(t.stdout)
		if err := printTable(t.stdout, []string{part.head, "STATE", "WHY"}, rows); err != nil {
			return err
		}
	}
	if err := t.messages(x.Messages, x.MessagesGone); err != nil {
		return err
	}
	for _, c := range x.Chains {
		t.chain(c)
	}
	return nil
}

// messages prints what the participant was owed to hear, and that there was more.
func (t teller) messages(all []engine.ExplainedMessage, gone *engine.MessagesGone) error {
	if len(all) > 0 {
		rows := make([][]string, len(all))
		for i, m := range all {
			rows[i] = []string{at(m.At, t.zone), m.Word, string(m.State), t.say(m.Why, m.WhyZH)}
		}
		fmt.Fprintln(t.stdout)
		if err := printTable(t.stdout, []string{"TIME", "MESSAGE", "STATE", "WHY"}, rows); err != nil {
			return err
		}
	}
	if gone != nil {
		fmt.Fprintf(t.stdout, "\n%s\n", t.say(gone.Why, gone.WhyZH))
	}
	return nil
}

func (t teller) event(x engine.ExplainedEvent) {
	fmt.Fprintf(t.stdout, "%s  %s  %s  %s\n%s\n", x.ID, x.Type, at(x.Time, t.zone), x.Outcome, t.say(x.Why, x.WhyZH))
	for _, c := range x.Chains {
		t.chain(c)
	}
}

// steps are the steps of a chain, and where one stands, in Chinese; in English they are their own names.
var steps = map[string]string{
	"scan": "扫码", "follow": "行为", "attribution": "归因", "rule": "规则", "hold": "观察期", "tier": "档位", "stock": "库存", "grant": "奖励",
}

var marks = map[string]string{"done": "✓", "stopped": "✗", "not_reached": "·"}

// chain prints a chain step by step, and what would change the one that stopped it.
func (t teller) chain(c engine.ExplainedChain) {
	var head []string
	for _, part := range [][2]string{{t.say("task", "任务"), c.Task}, {t.say("tier", "档位"), c.Tier}, {t.say("code", "邀请码"), c.Code}} {
		if part[1] != "" {
			head = append(head, part[0]+" "+part[1])
		}
	}
	fmt.Fprintf(t.stdout, "\n%s\n", strings.Join(head, "  "))
	for _, s := range c.Steps {
		name := t.say(s.Step, steps[s.Step])
		fmt.Fprintf(t.stdout, "  %s %s%s  %s\n", marks[s.State], name, strings.Repeat(" ", max(0, len("attribution")-columns(name))), t.say(s.Why, s.WhyZH))
		if s.Change != "" {
			fmt.Fprintf(t.stdout, "    %s  → %s\n", strings.Repeat(" ", len("attribution")), t.say(s.Change, s.ChangeZH))
		}
	}
}
