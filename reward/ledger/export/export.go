// Package export writes a ledger as a file for finance: CSV, XLSX or Parquet, row by
// row from an iterator. Where the rows come from, and who may have them, is not its business.
//
// In CSV, a cell of text whose first visible character is one of = + - @, narrow or wide, or that begins with a tab
// or a line break, has an apostrophe before it, so that no spreadsheet runs it; so has one that looks defused already.
// Taking one apostrophe away from such a cell gives the text back. Cells with a comma, semicolon, tab, quotation mark
// or line break, or a space at their beginning, are quoted. XLSX and Parquet hold the texts as they are.
package export

import (
	"encoding/hex"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"kfactor/internal/fault"
	"kfactor/reward/ledger"
)

// The formats.
const (
	CSV     = "csv"
	XLSX    = "xlsx"
	Parquet = "parquet"
)

// columns are the names of the columns, in order, the same in every format.
var columns = []string{
	"seq", "posted_at", "transaction", "kind", "campaign", "account", "user", "reward", "grant", "event",
	"debit", "credit", "currency", "memo", "hash",
}

// Row is a ledger entry as people outside know it: with public ids in place of internal numbers.
type Row struct {
	Seq         int64
	PostedAt    int64 // UTC milliseconds
	Transaction int64
	Kind        string
	Campaign    string // the campaign's public id
	Account     string
	User        string // empty for none, or when the person was erased
	Reward      string
	Grant       string // the grant's public id, empty for none
	Event       string
	Debit       int64 // minor units; zero where Credit is not
	Credit      int64 // minor units; zero where Debit is not
	Currency    string
	Memo        string
	Hash        string // hex
}

// NewRow is the entry under the public ids of its campaign and its user.
func NewRow(e *ledger.Entry, campaign, user string) Row {
	grant := ""
	if e.Grant != 0 {
		grant = campaign + "." + strconv.FormatInt(e.Grant, 10)
	}
	return Row{
		Seq: e.Seq, PostedAt: e.PostedAt, Transaction: e.Transaction, Kind: e.Kind, Campaign: campaign,
		Account: e.Account, User: user, Reward: e.Reward, Grant: grant, Event: e.Event,
		Debit: e.Debit, Credit: e.Credit, Currency: e.Currency, Memo: e.Memo, Hash: hex.EncodeToString(e.Hash),
	}
}

// Check refuses a format that nobody here writes, and names those that are.
func Check(format string) error {
	formats := []string{CSV, XLSX, Parquet}
	if !slices.Contains(formats, format) {
		return fault.New(fault.Invalid, "the ledger cannot be exported as %q; choose one of %s", format, strings.Join(formats, ", "))
	}
	return nil
}

// ContentType is the media type of a format.
func ContentType(format string) string {
	switch format {
	case CSV:
		return "text/csv; charset=utf-8"
	case XLSX:
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case Parquet:
		return "application/vnd.apache.parquet"
	}
	return "application/octet-stream"
}

// Extension is what the name of a file of this format ends in, dot included.
func Extension(format string) string { return "." + format }

// Write writes the rows in this format. Times are shown in loc, UTC when it is nil
// (Parquet holds instants and needs none). Memory does not grow with the number of rows;
// XLSX keeps its rows in temporary files until the last one is known, and its first byte
// comes after that. An error from rows ends the export and is returned: what was written
// until then is not a whole file.
func Write(w io.Writer, format string, rows iter.Seq2[Row, error], loc *time.Location) error {
	if err := Check(format); err != nil {
		return err
	}
	if loc == nil {
		loc = time.UTC
	}
	switch format {
	case XLSX:
		return writeXLSX(w, rows, loc, rowsPerSheet)
	case Parquet:
		return writeParquet(w, rows)
	default:
		return writeCSV(w, rows, loc)
	}
}
