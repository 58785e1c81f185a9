package wechat

import (
	"context"

	"kfactor/channel/wechat/setup"
	"kfactor/notify"
)

// tongue is all that is said in a chat where nobody has written anything else, in one language. %s are names and words,
// %d numbers.
type tongue struct {
	language string

	takesPart string // the campaign; what to write for the poster, and for the progress
	paused    string // the campaign
	early     string
	over      string
	nothing   string
	notJoined string // what to write for the poster
	moved     string
	busy      string

	title    string // the campaign
	others   string
	another  string // a campaign; what to write for it
	count    string // a task; how often
	held     string // how many
	lacks    string // a task; how many
	comma    string
	reached  string // a tier
	open     string
	needs    string // a tier; what it lacks
	noBoard  string
	board    string // the campaign
	me       string
	myRank   string // place; friends
	beyond   string
	unranked string

	counting  string // how many
	about     string // a friend; why they do not count
	came      string // how many
	nobody    string
	allCount  string
	waits     string // until when
	left      string
	duplicate string
	self      string
	notNew    string
	limit     string
	blocked   string
	notLive   string
	unmet     string
	nameless  string
}

var tongues = map[setup.Language]*tongue{
	setup.Chinese: {
		language: notify.Chinese,

		takesPart: "你已参加「%s」。回复「%s」领取专属海报，回复「%s」查看进度。",
		paused:    "「%s」暂停中，请稍后再来。",
		early:     "「%s」还没有开始，敬请期待。",
		over:      "「%s」已经结束，感谢参与。",
		nothing:   "当前没有进行中的活动。",
		notJoined: "你还没有参加活动。回复「%s」即可参加。",
		moved:     "活动已搬到新的公众号，请长按识别二维码关注，进度和奖励都还在。",
		busy:      "现在人有点多，请稍后再试。",

		title:    "「%s」",
		others:   "其他活动",
		another:  "「%s」请回复：%s",
		count:    "%s：%d",
		held:     "(另有 %d 个待确认)",
		lacks:    "%s还差 %d",
		comma:    "，",
		reached:  "✅ %s",
		open:     "◻️ %s",
		needs:    "◻️ %s：%s",
		noBoard:  "还没有人上榜，快来争第一。",
		board:    "「%s」排行榜",
		me:       "我",
		myRank:   "我：第 %d 名，%d",
		beyond:   "我：%d 名以后，%d",
		unranked: "我：暂未上榜",

		counting:  "已计入的好友：%d 位",
		about:     "%s：%s",
		came:      "还有 %d 位扫了码但还没有完成任务。",
		nobody:    "还没有好友扫你的码。",
		allCount:  "没有未计入的好友。",
		waits:     "待确认，预计 %s 计入",
		left:      "已取消关注，计数已撤回",
		duplicate: "之前已经助力过，每位好友只计一次",
		self:      "不能邀请自己",
		notNew:    "不是新用户，本活动只计新关注的好友",
		limit:     "已达到次数上限",
		blocked:   "账号异常",
		notLive:   "不在活动时间内",
		unmet:     "未满足活动条件",
		nameless:  "匿名",
	},
	setup.English: {
		language: notify.English,

		takesPart: "You take part in %s. Reply \"%s\" for your own poster, \"%s\" to see how far you are.",
		paused:    "%s is taking a break. Please come back later.",
		early:     "%s has not begun yet. Please come back later.",
		over:      "%s has ended. Thank you for taking part.",
		nothing:   "There is no campaign at the moment.",
		notJoined: "You have not joined yet. Reply \"%s\" to join.",
		moved:     "Our campaigns have moved to another account. Press and hold the code to follow it: your progress and rewards are still there.",
		busy:      "We are very busy right now. Please try again in a moment.",

		title:    "%s",
		others:   "Other campaigns",
		another:  "%s: reply %s",
		count:    "%s: %d",
		held:     " (%d more to be confirmed)",
		lacks:    "%[2]d to go for %[1]s",
		comma:    ", ",
		reached:  "✅ %s",
		open:     "◻️ %s",
		needs:    "◻️ %s: %s",
		noBoard:  "Nobody is on the board yet. Be the first.",
		board:    "Ranking of %s",
		me:       "You",
		myRank:   "You: place %d, %d",
		beyond:   "You: after place %d, %d",
		unranked: "You: not on the board yet",

		counting:  "Friends who count: %d",
		about:     "%s: %s",
		came:      "%d more have scanned your code and not done what counts yet.",
		nobody:    "No friend has scanned your code yet.",
		allCount:  "All your friends count.",
		waits:     "to be confirmed, counts from %s on",
		left:      "has left the account again and no longer counts",
		duplicate: "has helped before; each friend counts once",
		self:      "nobody can invite themselves",
		notNew:    "has followed before; this campaign counts new friends only",
		limit:     "the limit is reached",
		blocked:   "the account is suspended",
		notLive:   "outside of the campaign's time",
		unmet:     "does not meet the campaign's conditions",
		nameless:  "Anonymous",
	},
}

// tongue is how the account speaks.
func (d *desk) tongue(ctx context.Context) *tongue {
	script, err := d.script.of(ctx, d)
	if err != nil {
		return tongues[setup.Chinese]
	}
	return tongues[script.Language]
}

// called is what an account's fans call a built-in word; where the file turned it off, what it is usually called.
func called(script *setup.Channel, word setup.Word) string {
	if words := script.Words[word]; len(words) > 0 {
		return words[0]
	}
	return setup.UsualWords(script.Language, word)[0]
}

// maskedName is another person's name as strangers may see it: its first character.
func (t *tongue) maskedName(name string) string {
	for _, r := range name {
		return string(r) + "**"
	}
	return t.nameless
}
