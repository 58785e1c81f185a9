package setup

// Language is what an account speaks where the file has no words of its own.
type Language string

// The languages.
const (
	Chinese Language = "zh"
	English Language = "en"
)

// usual is what a language calls things and says where the file does not.
type usual struct {
	words     map[Word][]string
	cancel    []string
	cancelled string
	failed    string
	again     string // %s: what begins the dialogue
	done      string
	wrong     map[Check]string
}

var usuals = map[Language]*usual{
	Chinese: {
		words: map[Word][]string{
			Poster:   {"海报", "我的海报", "生成海报"},
			Progress: {"进度", "我的进度", "查进度"},
			Ranking:  {"排行", "排行榜", "排名"},
			Why:      {"为什么", "没到账", "为什么没到账"},
		},
		cancel:    []string{"取消", "退出"},
		cancelled: "已取消。",
		failed:    "多次输入不正确，已取消。",
		again:     "发送“%s”可以重新开始。",
		done:      "完成，谢谢！",
		wrong: map[Check]string{
			CheckText: "这个回答不符合要求，请重新输入。", CheckPhone: "请输入正确的手机号码。", CheckNumber: "请输入正确的数字。",
		},
	},
	English: {
		words: map[Word][]string{
			Poster:   {"poster", "my poster"},
			Progress: {"progress", "my progress"},
			Ranking:  {"ranking", "rank"},
			Why:      {"why", "why not"},
		},
		cancel:    []string{"cancel", "quit"},
		cancelled: "Cancelled.",
		failed:    "That was not right several times, so it is cancelled.",
		again:     " Send \"%s\" to begin again.",
		done:      "Done, thank you!",
		wrong: map[Check]string{
			CheckText: "That answer does not do. Please try again.", CheckPhone: "Please write a mobile number, with + and the country.",
			CheckNumber: "Please write a number.",
		},
	},
}

// UsualWords is what a built-in word is called in a language.
func UsualWords(l Language, word Word) []string { return usuals[l].words[word] }
