package export

import (
	"bufio"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"kfactor/internal/money"
)

// stamp is RFC 3339 to the millisecond, which is what the ledger keeps.
const stamp = "2006-01-02T15:04:05.000Z07:00"

// writeCSV writes RFC 4180 with a byte order mark, by which spreadsheets know UTF-8.
// It quotes by itself because encoding/csv, asked for CRLF, changes line breaks inside
// cells, and because one reused line keeps an export of any size from making garbage.
func writeCSV(w io.Writer, rows iter.Seq2[Row, error], loc *time.Location) error {
	out := bufio.NewWriterSize(w, 64<<10)
	out.WriteString("\uFEFF" + strings.Join(columns, ",") + "\r\n")
	var line []byte
	for row, err := range rows {
		if err != nil {
			return err
		}
		line = appendLine(line[:0], &row, loc)
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

func appendLine(line []byte, r *Row, loc *time.Location) []byte {
	line = strconv.AppendInt(line, r.Seq, 10)
	line = append(line, ',')
	line = time.UnixMilli(r.PostedAt).In(loc).AppendFormat(line, stamp)
	line = append(line, ',')
	line = strconv.AppendInt(line, r.Transaction, 10)
	for _, text := range [...]string{r.Kind, r.Campaign, r.Account, r.User, r.Reward, r.Grant, r.Event} {
		line = appendText(append(line, ','), text)
	}
	line = appendAmount(append(line, ','), r.Debit, r.Currency)
	line = appendAmount(append(line, ','), r.Credit, r.Currency)
	for _, text := range [...]string{r.Currency, r.Memo, r.Hash} {
		line = appendText(append(line, ','), text)
	}
	return append(line, '\r', '\n')
}

// appendAmount writes major units, nothing for zero.
func appendAmount(line []byte, minor int64, currency string) []byte {
	if minor == 0 {
		return line
	}
	return append(line, money.Format(minor, currency)...)
}

// appendText writes a cell of text, defused and quoted where it must be. Semicolons and tabs are quoted too:
// spreadsheets of many countries cut lines there, and what comes behind one would be a cell of its own.
func appendText(line []byte, text string) []byte {
	quoted := strings.ContainsAny(text, ",;\t\"\r\n") || strings.HasPrefix(text, " ")
	if quoted {
		line = append(line, '"')
	}
	if needsDefusing(text) {
		line = append(line, '\'')
	}
	if !quoted {
		return append(line, text...)
	}
	for i := range len(text) {
		if text[i] == '"' {
			line = append(line, '"')
		}
		line = append(line, text[i])
	}
	return append(line, '"')
}

// needsDefusing says whether a spreadsheet might run the text instead of showing it: whether the first thing in it
// that can be seen begins a formula, because some leave out what comes before. The wide forms count too:
// spreadsheets set to Chinese or Japanese read them as the narrow ones. So do texts that begin with a tab or a line
// break, and those that look as if they had been defused already, so that taking one apostrophe away always gives
// the text back.
// Source: OWASP, CSV Injection.
func needsDefusing(text string) bool {
	text = strings.TrimLeft(text, "'")
	if text != "" && strings.IndexByte("\t\r\n", text[0]) >= 0 {
		return true
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(text, unseen))
	return strings.ContainsRune("=+-@＝＋－＠", first)
}

// unseen says whether a character shows nothing: spaces, what controls or formats, and broken bytes. The apostrophe
// is among them, as it may stand between others here.
func unseen(r rune) bool {
	return r == '\'' || r == utf8.RuneError || unicode.IsSpace(r) || unicode.In(r, unicode.C, unicode.Variation_Selector)
}
