package export

import (
	"archive/zip"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"kfactor/internal/money"
)

// rowsPerSheet stays under the 1,048,576 rows that a sheet can have.
const rowsPerSheet = 1_000_000

// workbook is an XLSX file being written, one sheet after the other.
type workbook struct {
	file    *excelize.File
	loc     *time.Location
	sheets  int
	sheet   *excelize.StreamWriter // the open one
	row     int                    // last row written in it, the header being 1
	header  int                    // style
	text    int                    // style
	date    int                    // style
	amounts map[int]int            // number of decimals to style
}

func writeXLSX(w io.Writer, rows iter.Seq2[Row, error], loc *time.Location, perSheet int) (err error) {
	book, err := newWorkbook(loc)
	if err != nil {
		return err
	}
	defer func() {
		// Removes the temporary files too.
		if closing := book.file.Close(); err == nil {
			err = closing
		}
	}()
	for row, err := range rows {
		if err != nil {
			return err
		}
		if book.row > perSheet {
			if err := book.open(); err != nil {
				return err
			}
		}
		if err := book.add(&row); err != nil {
			return err
		}
	}
	if err := book.sheet.Flush(); err != nil {
		return err
	}
	// excelize would collect the whole archive in a buffer and hand that over; a zip
	// writer that ignores the buffer writes the archive straight to where it goes.
	book.file.SetZipWriter(func(io.Writer) excelize.ZipWriter { return zip.NewWriter(w) })
	_, err = book.file.WriteToBuffer()
	return err
}

func newWorkbook(loc *time.Location) (*workbook, error) {
	b := &workbook{file: excelize.NewFile(), loc: loc, amounts: make(map[int]int)}
	date := "yyyy-mm-dd hh:mm:ss"
	var err error
	if b.header, err = b.file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}}); err != nil {
		return nil, err
	}
	// Format 49 is text: a cell that looks like a formula stays text even when someone edits it.
	if b.text, err = b.file.NewStyle(&excelize.Style{NumFmt: 49}); err != nil {
		return nil, err
	}
	if b.date, err = b.file.NewStyle(&excelize.Style{CustomNumFmt: &date}); err != nil {
		return nil, err
	}
	// A spreadsheet's date has no zone, so the file says which one it is.
	if err := b.file.SetDocProps(&excelize.DocProperties{Title: "ledger", Description: "posted_at is in " + loc.String()}); err != nil {
		return nil, err
	}
	return b, b.open()
}

// open ends the open sheet and begins the next with the header row.
func (b *workbook) open() error {
	b.sheets++
	name := "ledger"
	if b.sheets == 1 {
		if err := b.file.SetSheetName("Sheet1", name); err != nil {
			return err
		}
	} else {
		if err := b.sheet.Flush(); err != nil {
			return err
		}
		name = fmt.Sprintf("ledger %d", b.sheets)
		if _, err := b.file.NewSheet(name); err != nil {
			return err
		}
	}
	var err error
	if b.sheet, err = b.file.NewStreamWriter(name); err != nil {
		return err
	}
	if err := b.sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	if err := b.sheet.SetColWidth(1, len(columns), 20); err != nil {
		return err
	}
	names := make([]any, 0, len(columns))
	for _, column := range columns {
		names = append(names, excelize.Cell{StyleID: b.header, Value: column})
	}
	b.row = 1
	return b.sheet.SetRow("A1", names)
}

func (b *workbook) add(r *Row) error {
	b.row++
	amount, err := b.amount(r.Currency)
	if err != nil {
		return err
	}
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return excelize.Cell{StyleID: b.text, Value: s}
	}
	number := func(minor int64) any {
		if minor == 0 {
			return nil
		}
		return excelize.Cell{StyleID: amount, Value: float64(minor) / math.Pow10(money.Places(r.Currency))}
	}
	return b.sheet.SetRow("A"+strconv.Itoa(b.row), []any{
		r.Seq,
		excelize.Cell{StyleID: b.date, Value: time.UnixMilli(r.PostedAt).In(b.loc)},
		r.Transaction,
		text(r.Kind), text(r.Campaign), text(r.Account), text(r.User), text(r.Reward), text(r.Grant), text(r.Event),
		number(r.Debit), number(r.Credit), text(r.Currency), text(r.Memo), text(r.Hash),
	})
}

// amount is the style of amounts in a currency, with its number of decimals.
func (b *workbook) amount(currency string) (int, error) {
	places := money.Places(currency)
	if style, ok := b.amounts[places]; ok {
		return style, nil
	}
	format := "0"
	if places > 0 {
		format += "." + strings.Repeat("0", places)
	}
	style, err := b.file.NewStyle(&excelize.Style{CustomNumFmt: &format})
	b.amounts[places] = style
	return style, err
}
