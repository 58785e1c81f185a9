package twin

// Template is a message template of the account, of either kind: its content holds {{key.DATA}} where values go.
type Template struct {
	ID      string `json:"template_id"`
	Title   string `json:"title"`
	Content string `json:"content"`
}
