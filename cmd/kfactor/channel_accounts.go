package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kfactor/channel/wechat"
	"kfactor/channel/wechat/client"
	"kfactor/engine"
	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// checkTimeout bounds what one account is asked.
const checkTimeout = 20 * time.Second

// china is where the platform's days begin.
var china = time.FixedZone("China", 8*60*60)

// accountView is an account as `channel status` tells of it.
type accountView struct {
	wechat.AccountStatus
	TokenOK  bool                            `json:"token_ok"`
	Trouble  string                          `json:"trouble,omitempty"` // why the platform takes no call
	Banned   bool                            `json:"banned"`
	Messages map[string]engine.MessageCounts `json:"messages"` // by channel that it serves
}

func (a *app) channelStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "How each account stands: token, quotas, codes, fans, messages",
		Long: "Asks the platform whether it takes the account's calls and what its limits are, and tells what all processes have\n" +
			"called today (days begin at midnight in China) and what they have set aside to call, how many codes and fans there\n" +
			"are, and which messages are owed, wait for their people to write or tap something, or will not be sent. Ends with 1\n" +
			"when the platform takes no calls of an account.",
		Example: "  kfactor channel status --config kfactor.yaml",
		Args:    noMore,
		RunE: a.do(a.withHouse(func(ctx context.Context, h *house, _ []string) error {
			if h.channels == nil {
				return errNoChannels()
			}
			views, err := accountViews(ctx, h)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(a.stdout, map[string]any{"items": views})
			} else {
				err = a.printAccounts(views)
			}
			return errors.Join(err, failing(views))
		})),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func accountViews(ctx context.Context, h *house) ([]accountView, error) {
	h.channels.AskLimits(ctx)
	all, err := h.channels.Status(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := h.engine.MessageCounts(ctx)
	if err != nil {
		return nil, err
	}
	views := []accountView{}
	for _, s := range all {
		v := accountView{AccountStatus: s, Messages: map[string]engine.MessageCounts{}}
		for _, channel := range s.Channels {
			v.Messages[channel] = counts[channel]
		}
		asking, cancel := context.WithTimeout(ctx, checkTimeout)
		_, err := h.channels.Check(asking, s.Name)
		cancel()
		// What is about the one call that was tried says that the token was taken.
		code := client.CodeOf(err)
		if v.TokenOK = err == nil || code == client.CodeUnauthorized || code == client.CodeDailyQuota; !v.TokenOK {
			v.Trouble, v.Banned = platformTrouble(err), code == client.CodeForbidden
		}
		views = append(views, v)
	}
	return views, nil
}

func failing(views []accountView) error {
	var names []string
	for _, v := range views {
		if !v.TokenOK {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the platform takes no calls of %s; `kfactor channel check %s` says what to do", strings.Join(names, ", "), names[0])
}

func (a *app) printAccounts(views []accountView) error {
	for i, v := range views {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		token := "the platform takes its calls"
		if !v.TokenOK {
			token = v.Trouble
		}
		fmt.Fprintf(a.stdout, "%s (%s, callbacks %s): %s\n", v.Name, v.AppID, v.Mode, token)
		for _, line := range v.lines() {
			fmt.Fprintln(a.stdout, "  "+line)
		}
		var rows [][]string
		for _, q := range v.Quotas {
			paused := ""
			if q.PausedUntil != nil {
				paused = at(*q.PausedUntil, china)
			}
			from := q.LimitFrom
			if q.LimitAt != nil {
				from = at(*q.LimitAt, china)
			}
			rows = append(rows, []string{
				strings.TrimPrefix(q.API, "/cgi-bin/"), fmt.Sprint(q.Used), fmt.Sprint(q.SetAside), fmt.Sprint(max(q.Usable-q.Used-q.SetAside, 0)),
				fmt.Sprint(q.Limit), from, paused,
			})
		}
		if err := printTable(a.stdout, []string{"CALLS OF", "USED", "SET ASIDE", "LEFT", "LIMIT", "TOLD AT", "PAUSED UNTIL"}, rows); err != nil {
			return err
		}
	}
	return nil
}

// lines are what there is to say of an account, beside its quotas.
func (v accountView) lines() []string {
	lines := []string{fmt.Sprintf("%s, %d follow; %s made, %d of them permanent", counted(int(v.Fans), "fan"), v.Followers, counted(int(v.Codes), "code"), v.Permanent)}
	if v.Held > 0 {
		lines = append(lines, fmt.Sprintf("pushes held until the platform says who the fans are: %d", v.Held))
	}
	if v.Setup > 0 {
		lines = append(lines, fmt.Sprintf("says what revision %d of its set-up says", v.Setup))
	} else {
		lines = append(lines, "no set-up is stored; it answers to the built-in words alone")
	}
	if v.MovedTo != "" {
		lines = append(lines, fmt.Sprintf("its channel was moved to %s", v.MovedTo))
	}
	for _, channel := range v.Channels {
		m := v.Messages[channel]
		if channel != v.Name {
			lines = append(lines, fmt.Sprintf("serves the channel %s, which was moved to it", channel))
		}
		lines = append(lines, fmt.Sprintf("messages of %s: %d owed, %d wait for their people, %d will not be sent", channel, m.Owed, m.Waiting, m.Unsent))
	}
	return lines
}

func (a *app) channelCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check NAME", Short: "Try an account's secrets, and say what to enter on the platform's page",
		Long: "Fetches an access token and says what is wrong where the platform gives none; prints the callback's address and the\n" +
			"domains to enter under 设置与开发 on mp.weixin.qq.com. Start the server first: the platform calls it when you press 提交.",
		Example: "  kfactor channel check main --config kfactor.yaml",
		Args:    takes("NAME"),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if err := a.configured(args[0]); err != nil {
				return err
			}
			return a.withChannels(func(ctx context.Context, c *wechat.Channels, args []string) error {
				if err := a.printEntries(args[0]); err != nil {
					return err
				}
				asking, cancel := context.WithTimeout(ctx, checkTimeout)
				defer cancel()
				q, err := c.Check(asking, args[0])
				switch code := client.CodeOf(err); {
				case err == nil:
					fmt.Fprintf(a.stdout, "\nThe platform gives an access token. Messages today: %d sent, %d left of %d.\n", q.Used, q.Remain, q.Daily)
				case code == client.CodeUnauthorized:
					fmt.Fprintln(a.stdout, "\nThe platform gives an access token, but this account may not see its quotas. An account that is not verified (认证) may not send messages or make codes either.")
				default:
					return errors.New(platformTrouble(err))
				}
				return nil
			})(ctx, args)
		}),
	}
}

// printEntries prints what goes where on the platform's pages.
func (a *app) printEntries(name string) error {
	link := a.settings.Link(nil)
	c := a.settings.Channels[name]
	mode := "明文模式 (plain)"
	if c.AESKey != "" {
		mode = "安全模式 (encrypted), EncodingAESKey: aes_key of the settings"
	}
	rows := [][]string{
		{"基本配置 → 服务器配置 → URL", link + "/wechat/" + name},
		{"基本配置 → 服务器配置 → Token", "token of the settings"},
		{"基本配置 → 服务器配置 → 消息加解密方式", mode},
		{"基本配置 → IP白名单", "the address that this machine calls from"},
		{"公众号设置 → 功能设置 → 网页授权域名", host(link)},
		{"公众号设置 → 功能设置 → JS接口安全域名", host(link)},
	}
	if err := printTable(a.stdout, []string{"ON MP.WEIXIN.QQ.COM", "ENTER"}, rows); err != nil {
		return err
	}
	if said := unfit(link); said != "" {
		fmt.Fprintln(a.stdout, "\n"+said)
	}
	return nil
}

func host(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	return u.Hostname()
}

// unfit says why the platform cannot call a public address.
func unfit(link string) string {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return ""
	case slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname()):
		return "The platform cannot reach " + link + "; set KFACTOR_PUBLIC_URL to the address that people reach."
	case !slices.Contains([]string{"", "80", "443"}, u.Port()):
		return "The platform calls ports 80 and 443 alone, not " + u.Port() + "; put a proxy in front."
	}
	return ""
}

func (a *app) channelMoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "move FROM TO", Short: "Have another account serve a channel, when its own is banned or given up",
		Long: "From then on the account TO serves the campaigns on the channel FROM. Kept: campaigns, people, their codes in kfactor,\n" +
			"credits, rewards, the ledger. People are known again on the new account by their unionid, where both accounts hang on\n" +
			"one open platform (微信开放平台); otherwise they join anew. The platform is asked first, for a minute at most, who those\n" +
			"followers are of whom it has not said it yet. `move FROM FROM` takes it back.",
		Example: "  kfactor channel move main spare --config kfactor.yaml --yes",
		Args:    takes("FROM", "TO"),
		RunE: a.do(a.withChannels(func(ctx context.Context, c *wechat.Channels, args []string) error {
			from, to := args[0], args[1]
			known, err := c.Names(ctx)
			if err != nil {
				return err
			}
			if !slices.Contains(known, from) {
				return a.configured(from)
			}
			if err := a.configured(to); err != nil {
				return err
			}
			if !yes {
				return fmt.Errorf("nothing is moved: from then on %s; add --yes", movedWords(from, to))
			}
			if err := c.Move(ctx, from, to); err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, moveReport(from, to))
			strangers, err := c.Strangers(ctx, from)
			if err != nil || strangers == 0 || from == to {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "\nThe platform does not say who %d of the followers of %s are: at %s they will count as other people.\n", strangers, from, to)
			return err
		})),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "move it")
	return cmd
}

func (a *app) channelCodeCommand() *cobra.Command {
	var permanent bool
	var out string
	cmd := &cobra.Command{
		Use: "code CODE", Short: "What WeChat's QR code of a participant's code holds, also one that never runs out",
		Long: "Prints what the QR code holds that brings people to the account through a participant's code, and until when it works.\n" +
			"With --permanent it never runs out, for what is printed and hung up. An account has 100,000 such codes in all, and none\n" +
			"comes back: `kfactor channel status` tells how many are used. The same again costs nothing.",
		Example: "  kfactor channel code 7K2M9QX4TB --permanent -o shop-window.png --config kfactor.yaml",
		Args:    takes("CODE"),
		RunE: a.do(a.withHouse(func(ctx context.Context, h *house, args []string) error {
			if h.channels == nil {
				return errNoChannels()
			}
			if out != "" {
				if _, err := qrFormat(out); err != nil {
					return err
				}
			}
			known, ok := code.Parse(args[0])
			if !ok {
				return usage("%q is not a code; write 8 to 16 of 0-9 and A-Z without I, L, O, U", args[0])
			}
			campaign, channel, err := h.engine.CampaignOfCode(ctx, known)
			if err != nil {
				return err
			}
			if channel == engine.WebChannel {
				return fault.New(fault.Conflict, "campaign %s is on the web, where codes are links and never run out", campaign)
			}
			var link string
			var until time.Time
			if permanent {
				link, err = h.channels.PermanentLink(ctx, channel, known)
			} else {
				link, until, err = h.channels.Channel(channel).CodeLink(ctx, known)
			}
			if err != nil {
				return err
			}
			lasts := "for ever"
			if !until.IsZero() {
				lasts = "until " + at(until, china)
			}
			fmt.Fprintf(a.stdout, "%s  %s\n", link, lasts)
			if out == "" {
				return nil
			}
			return writeQR(out, link)
		})),
	}
	cmd.Flags().BoolVar(&permanent, "permanent", false, "one that never runs out")
	cmd.Flags().StringVarP(&out, "output", "o", "", "picture to write, ending in .png or .svg")
	return cmd
}

func qrFormat(out string) (string, error) {
	switch format := strings.ToLower(filepath.Ext(out)); format {
	case ".png", ".svg":
		return format, nil
	}
	return "", usage("--output: %q ends in neither .png nor .svg", out)
}

// writeQR draws a QR code large enough to be printed.
func writeQR(out, link string) error {
	const size = 1024 // pixels
	format, err := qrFormat(out)
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	if format == ".svg" {
		err = poster.QRSVG(&picture, link)
	} else {
		err = poster.QRPNG(&picture, link, size)
	}
	if err != nil {
		return err
	}
	err = os.WriteFile(out, picture.Bytes(), 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s; make it first", filepath.Dir(out))
	}
	return err
}

func movedWords(from, to string) string {
	if from == to {
		return fmt.Sprintf("the channel %s is served by its own account again, and codes of another account's lead there until they run out", from)
	}
	return fmt.Sprintf("the campaigns on %s are served by the account %s, and everybody has to follow that", from, to)
}

// moveReport says what was kept and what people must do.
func moveReport(from, to string) string {
	if from == to {
		return fmt.Sprintf("The channel %s is served by its own account again. Servers know within seconds.", from)
	}
	return strings.Join([]string{
		fmt.Sprintf("The channel %s is served by the account %s. Servers know within seconds.", from, to),
		"Kept: campaigns, people, codes, credits, rewards, the ledger, and what people are owed to hear.",
		"Left to do:",
		fmt.Sprintf("- fans follow %s; those whom one open platform knows on both accounts are themselves again, the others join anew", to),
		"- posters of campaigns with `qr: link` lead to the new account by themselves; others are made anew when people ask for them, and printed ones lead to the old account",
		fmt.Sprintf("- give %s what it says: copy the section %s in your channels file to %s and run `kfactor channel apply`", to, from, to),
		fmt.Sprintf("- enter the callback of %s on the platform: `kfactor channel check %s`", to, to),
	}, "\n")
}

func errNoChannels() error {
	return fault.New(fault.NotFound, "no channel is configured; name one under `channels` in the settings file and give that with --config")
}

var refusedAddress = regexp.MustCompile(`invalid ip ([0-9A-Fa-f.:]+)`)

// platformTrouble is a failure of the platform's with what to do about it.
func platformTrouble(err error) string {
	if lost, ok := errors.AsType[*client.Unreachable](err); ok {
		return fmt.Sprintf("the platform did not answer (%s); check the network, and api_url in the settings", lost.Message)
	}
	said, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err.Error()
	}
	todo := ""
	switch said.Code {
	case client.CodeIPNotAllowed:
		address := "this machine's address"
		if found := refusedAddress.FindStringSubmatch(said.Message); found != nil {
			address = found[1]
		}
		todo = "enter " + address + " under 基本配置 → IP白名单 on mp.weixin.qq.com; it takes effect within 10 minutes"
	case client.CodeInvalidAppID:
		todo = "app_id in the settings is not that of the account under 基本配置 → 开发者ID"
	case client.CodeInvalidSecret, client.CodeBadCredential:
		todo = "app_secret in the settings is wrong or was reset; take the new one from 基本配置 → 开发者密码"
	case client.CodeSecretFrozen:
		todo = "the AppSecret is frozen; unfreeze it under 基本配置 → 开发者密码"
	case client.CodeIPWaits, client.CodeIPNeedsConfirm, client.CodeIPRefusedForDay, client.CodeIPRefusedForHour:
		todo = "the account's administrator has to confirm calls from this address in WeChat"
	case client.CodeForbidden:
		todo = "the platform has closed this interface or the account; look at the notices on mp.weixin.qq.com, and see `kfactor channel move --help`"
	case client.CodeUnauthorized:
		todo = "the account may not use this interface; look at 接口权限 on mp.weixin.qq.com, most need verification (认证)"
	case client.CodeDailyQuota:
		todo = "today's calls are used up; they begin anew at midnight in China"
	case client.CodeMinuteQuota:
		todo = "too many calls in a minute; try again"
	case 45064:
		todo = "a mini-program in the menu is not linked to the account; link it under 小程序管理"
	case 40054, 40055:
		todo = "the platform does not take an address in the menu; check its domain"
	}
	if todo == "" {
		return "the platform refuses: " + said.Error()
	}
	return fmt.Sprintf("the platform refuses: %s; %s", said.Error(), todo)
}
