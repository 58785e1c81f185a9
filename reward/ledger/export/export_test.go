package export

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"kfactor/internal/fault"
	"kfactor/internal/money"
	"kfactor/reward/ledger"
)

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// posted is 2026-03-02T10:00:00.250+08:00.
const posted = 1_772_416_800_250

// entry is a line of a sample ledger with a value in every column.
func entry() *ledger.Entry {
	return &ledger.Entry{
		Campaign: 7, Seq: 12, PostedAt: posted, Transaction: 5, Kind: "promise", Account: ledger.Promised, Person: 3,
		Reward: "red-packet", Grant: 17, Event: "shop-991", Debit: 1050, Currency: "CNY", Memo: "红包, \"für\"\nyou 🎁",
		Hash: bytes.Repeat([]byte{0xab}, 32),
	}
}

// sample holds a debit, a credit, points, and cells that spreadsheets would run.
func sample() []Row {
	first := NewRow(entry(), "spring-2026", "openid_B")
	second := first
	second.Seq, second.Debit, second.Credit, second.Account = 13, 0, 1050, ledger.Available
	points := first
	points.Seq, points.Debit, points.Currency, points.Account = 14, 20, money.Points, ledger.PointsIssued
	hostile := Row{Seq: 15, PostedAt: posted, Transaction: 6, User: "=cmd|' /C calc'!A0", Event: "@SUM(1+1)", Memo: "-1\x00\x1b,+2", Credit: 1, Currency: "JPY"}
	return []Row{first, second, points, hostile}
}

func each(rows []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// many repeats the first sample row n times under growing numbers.
func many(n int) iter.Seq2[Row, error] {
	row := sample()[0]
	return func(yield func(Row, error) bool) {
		for i := range n {
			row.Seq = int64(i + 1)
			if !yield(row, nil) {
				return
			}
		}
	}
}

// readCSV gives the cells of an export, the header first.
func readCSV(t interface{ Fatal(...any) }, file []byte) [][]string {
	text, ok := bytes.CutPrefix(file, []byte("\xef\xbb\xbf"))
	if !ok {
		t.Fatal("no byte order mark")
	}
	cells, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

func TestCSV(t *testing.T) {
	t.Parallel()

	t.Run("HoldsTheContractsColumnsAndAmountsInMajorUnits", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := Write(&file, CSV, each(sample()[:3]), shanghai); err != nil {
			t.Fatal(err)
		}
		hash := strings.Repeat("ab", 32)
		memo := "\"红包, \"\"für\"\"\nyou 🎁\""
		want := "\ufeffseq,posted_at,transaction,kind,campaign,account,user,reward,grant,event,debit,credit,currency,memo,hash\r\n" +
			"12,2026-03-02T10:00:00.250+08:00,5,promise,spring-2026,rewards:promised,openid_B,red-packet,spring-2026.17,shop-991,10.50,,CNY," + memo + "," + hash + "\r\n" +
			"13,2026-03-02T10:00:00.250+08:00,5,promise,spring-2026,budget:available,openid_B,red-packet,spring-2026.17,shop-991,,10.50,CNY," + memo + "," + hash + "\r\n" +
			"14,2026-03-02T10:00:00.250+08:00,5,promise,spring-2026,points:issued,openid_B,red-packet,spring-2026.17,shop-991,20,,POINTS," + memo + "," + hash + "\r\n"
		if diff := cmp.Diff(want, file.String()); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("DefusesFormulas", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := Write(&file, CSV, each(sample()[3:]), nil); err != nil {
			t.Fatal(err)
		}
		row := readCSV(t, file.Bytes())[1]
		if row[6] != "'=cmd|' /C calc'!A0" || row[9] != "'@SUM(1+1)" || row[13] != "'-1\x00\x1b,+2" || row[11] != "1" {
			t.Errorf("%q", row)
		}
	})

	t.Run("ACellIsQuotedAndDefusedWhereASpreadsheetMightCutOrRunIt", func(t *testing.T) {
		t.Parallel()
		for text, want := range map[string]string{
			"plain":         "plain",
			"a-b":           "a-b",
			"a@b":           "a@b",
			" a":            `" a"`,
			"a;b":           `"a;b"`,
			"a;=1+1":        `"a;=1+1"`,
			"a\tb":          "\"a\tb\"",
			"=1;2":          `"'=1;2"`,
			"  =1":          `"'  =1"`,
			"\u00a0+1":      "'\u00a0+1",
			"\u3000＝1":      "'\u3000＝1",
			"\x00\x1b=1":    "'\x00\x1b=1",
			"\u200b\ufeff@": "'\u200b\ufeff@",
			" \t-1":         "\"' \t-1\"",
			"\t":            "\"'\t\"",
			"'=1":           "''=1",
			" '=1":          `"' '=1"`,
			"'a":            "'a",
			"":              "",
		} {
			if got := string(appendText(nil, text)); got != want {
				t.Errorf("%q is written %q, want %q", text, got, want)
			}
		}
	})

	t.Run("AnEmptyLedgerHasItsHeader", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := Write(&file, CSV, each(nil), nil); err != nil {
			t.Fatal(err)
		}
		if rows := readCSV(t, file.Bytes()); len(rows) != 1 || !slices.Equal(rows[0], columns) {
			t.Errorf("%q", rows)
		}
	})

	t.Run("AnyRowIsReadBack", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("=+-@\t\r\n ,\"';é红🎁＝\x00\u3000\u200b")), rapid.Rune()))
			amount := rapid.Int64Range(0, money.MaxMinor-1)
			row := Row{
				Seq: rapid.Int64().Draw(t, "seq"), PostedAt: rapid.Int64Range(0, 4_000_000_000_000).Draw(t, "posted"),
				Transaction: rapid.Int64().Draw(t, "transaction"), Kind: text.Draw(t, "kind"), Campaign: text.Draw(t, "campaign"),
				Account: text.Draw(t, "account"), User: text.Draw(t, "user"), Reward: text.Draw(t, "reward"), Grant: text.Draw(t, "grant"),
				Event: text.Draw(t, "event"), Debit: amount.Draw(t, "debit"), Credit: amount.Draw(t, "credit"),
				Currency: rapid.SampledFrom([]string{"CNY", "JPY", "KWD", money.Points}).Draw(t, "currency"), Memo: text.Draw(t, "memo"),
				Hash: hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")),
			}
			var file bytes.Buffer
			if err := Write(&file, CSV, each([]Row{row}), shanghai); err != nil {
				t.Fatal(err)
			}
			cells := readCSV(t, file.Bytes())
			if len(cells) != 2 {
				t.Fatalf("%d rows", len(cells))
			}
			want := row
			for _, s := range []*string{&want.Kind, &want.Campaign, &want.Account, &want.User, &want.Reward, &want.Grant, &want.Event, &want.Memo} {
				*s = strings.ReplaceAll(*s, "\r\n", "\n") // what the reader, not the file, makes of a line break
			}
			if diff := cmp.Diff(want, rowOf(t, cells[1])); diff != "" {
				t.Fatal(diff)
			}
		})
	})
}

// rowOf reads the cells of a CSV row.
func rowOf(t *rapid.T, cells []string) Row {
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	minor := func(s string) int64 {
		if s == "" {
			return 0
		}
		n, err := money.Parse(s, cells[12])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	text := func(s string) string {
		if fused, ok := strings.CutPrefix(s, "'"); ok && needsDefusing(fused) {
			return fused
		}
		return s
	}
	at, err := time.Parse(time.RFC3339, cells[1])
	if err != nil {
		t.Fatal(err)
	}
	return Row{
		Seq: number(cells[0]), PostedAt: at.UnixMilli(), Transaction: number(cells[2]), Kind: text(cells[3]), Campaign: text(cells[4]),
		Account: text(cells[5]), User: text(cells[6]), Reward: text(cells[7]), Grant: text(cells[8]), Event: text(cells[9]),
		Debit: minor(cells[10]), Credit: minor(cells[11]), Currency: cells[12], Memo: text(cells[13]), Hash: cells[14],
	}
}

// No text makes a cell that starts a formula, a second cell or a second row.
func FuzzDefuse(f *testing.F) {
	for _, text := range []string{"", "=1+1", "+", "-1", "@A1", "\t=1", "\r\n=1", "a\",=1", "'=1", "＝1", "红包", "\" =1", "\xff=", " =1", "a;=1", "\u3000＝1", "\x00@", "'0\r\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := append(appendText(nil, text), ",end\r\n"...)
		rows, err := csv.NewReader(bytes.NewReader(line)).ReadAll()
		if err != nil || len(rows) != 1 || len(rows[0]) != 2 || rows[0][1] != "end" {
			t.Fatalf("%q became %q (%v)", text, rows, err)
		}
		cell := rows[0][0]
		want := strings.ReplaceAll(text, "\r\n", "\n") // what the reader makes of a line break
		if needsDefusing(text) {
			want = "'" + want
		}
		if cell != want {
			t.Fatalf("%q became %q", text, cell)
		}
		if first, size := utf8.DecodeRuneInString(strings.TrimSpace(cell)); size > 0 && strings.ContainsRune("=+-@＝＋－＠", first) {
			t.Fatalf("%q is still a formula: %q", text, cell)
		}
		if strings.ContainsAny(text, ";\t") && line[0] != '"' {
			t.Fatalf("%q is cut at semicolons or tabs: %q", text, line)
		}
	})
}

func TestXLSX(t *testing.T) {
	t.Parallel()

	read := func(t *testing.T, file *bytes.Buffer) *excelize.File {
		t.Helper()
		book, err := excelize.OpenReader(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close() })
		return book
	}

	t.Run("HoldsTheSameColumnsWithRealNumbersAndDates", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := Write(&file, XLSX, each(sample()), shanghai); err != nil {
			t.Fatal(err)
		}
		book := read(t, &file)
		rows, err := book.GetRows("ledger")
		if err != nil {
			t.Fatal(err)
		}
		hash := strings.Repeat("ab", 32)
		want := []string{
			"12", "2026-03-02 10:00:00", "5", "promise", "spring-2026", "rewards:promised", "openid_B", "red-packet", "spring-2026.17",
			"shop-991", "10.50", "", "CNY", "红包, \"für\"\nyou 🎁", hash,
		}
		if diff := cmp.Diff([][]string{columns, want}, rows[:2]); diff != "" {
			t.Error(diff)
		}
		raw := func(cell string) string {
			value, err := book.GetCellValue("ledger", cell, excelize.Options{RawCellValue: true})
			if err != nil {
				t.Fatal(err)
			}
			kind, err := book.GetCellType("ledger", cell)
			if err != nil {
				t.Fatal(err)
			}
			if number := kind == excelize.CellTypeUnset || kind == excelize.CellTypeNumber; !number {
				t.Errorf("%s is not a number: %q of type %d", cell, value, kind)
			}
			return value
		}
		if got := raw("K2"); got != "10.5" {
			t.Errorf("debit %q", got)
		}
		if got := raw("L3"); got != "10.5" {
			t.Errorf("credit %q", got)
		}
		if got := raw("K4"); got != "20" {
			t.Errorf("points %q", got)
		}
		serial, err := strconv.ParseFloat(raw("B2"), 64)
		if err != nil {
			t.Fatal(err)
		}
		// A spreadsheet counts days from 30 December 1899 on the wall clock.
		day := time.Date(2026, 3, 2, 10, 0, 0, 250e6, time.UTC).Sub(time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)).Hours() / 24
		if math.Abs(serial-day) > 1e-8 {
			t.Errorf("posted at day %f, want %f", serial, day)
		}
	})

	t.Run("WhatLooksLikeAFormulaIsText", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := Write(&file, XLSX, each(sample()[3:]), nil); err != nil {
			t.Fatal(err)
		}
		book := read(t, &file)
		for cell, want := range map[string]string{"G2": "=cmd|' /C calc'!A0", "J2": "@SUM(1+1)", "N2": "-1\uFFFD\uFFFD,+2"} {
			formula, err := book.GetCellFormula("ledger", cell)
			if err != nil || formula != "" {
				t.Errorf("%s has the formula %q, %v", cell, formula, err)
			}
			if got, err := book.GetCellValue("ledger", cell); err != nil || got != want {
				t.Errorf("%s holds %q, %v", cell, got, err)
			}
			id, err := book.GetCellStyle("ledger", cell)
			if err != nil {
				t.Fatal(err)
			}
			if style, err := book.GetStyle(id); err != nil || style.NumFmt != 49 {
				t.Errorf("%s is not formatted as text: %+v, %v", cell, style, err)
			}
		}
	})

	t.Run("RowsGoOnInAnotherSheetWhenOneIsFull", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := writeXLSX(&file, many(25), time.UTC, 10); err != nil {
			t.Fatal(err)
		}
		book := read(t, &file)
		var seen []string
		for _, sheet := range book.GetSheetList() {
			rows, err := book.GetRows(sheet)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(rows[0], columns) {
				t.Errorf("%s begins with %q", sheet, rows[0])
			}
			for _, row := range rows[1:] {
				seen = append(seen, row[0])
			}
		}
		if got := book.GetSheetList(); !slices.Equal(got, []string{"ledger", "ledger 2", "ledger 3"}) {
			t.Errorf("sheets %q", got)
		}
		if len(seen) != 25 || seen[0] != "1" || seen[24] != "25" {
			t.Errorf("rows %q", seen)
		}
	})
}

func TestParquet(t *testing.T) {
	t.Parallel()

	t.Run("HoldsTheSameColumnsInMinorUnits", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		if err := Write(&file, Parquet, each(sample()), shanghai); err != nil {
			t.Fatal(err)
		}
		stored, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, column := range stored.Root().Columns() {
			names = append(names, column.Name())
		}
		if !slices.Equal(names, columns) {
			t.Errorf("columns %q", names)
		}
		if got := stored.Root().Column("posted_at").Type().LogicalType().String(); got != "TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS)" {
			t.Errorf("posted_at is %s", got)
		}
		rows, err := parquet.Read[parquetRow](bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var got []Row
		for _, row := range rows {
			got = append(got, Row(row))
		}
		if diff := cmp.Diff(sample(), got); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("IsWrittenInGroupsAsItGoes", func(t *testing.T) {
		t.Parallel()
		var file bytes.Buffer
		early := 0
		const n = 2*rowsPerGroup + 5000
		rows := func(yield func(Row, error) bool) {
			for row := range many(n) {
				if row.Seq == n {
					early = file.Len()
				}
				if !yield(row, nil) {
					return
				}
			}
		}
		if err := Write(&file, Parquet, rows, nil); err != nil {
			t.Fatal(err)
		}
		stored, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if stored.NumRows() != n || len(stored.RowGroups()) != 3 || early < file.Len()/2 {
			t.Errorf("%d rows in %d groups, %d of %d bytes before the last row", stored.NumRows(), len(stored.RowGroups()), early, file.Len())
		}
	})
}

func TestWrite(t *testing.T) {
	t.Parallel()

	t.Run("AnUnknownFormatIsRefusedAndTheChoicesAreNamed", func(t *testing.T) {
		t.Parallel()
		err := Write(io.Discard, "pdf", each(nil), nil)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "csv, xlsx, parquet") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("AFailureOfTheRowsOrOfTheWriterEndsTheExport", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("the database went away")
		failing := func(yield func(Row, error) bool) {
			for row := range many(3) {
				if !yield(row, nil) {
					return
				}
			}
			yield(Row{}, broken)
		}
		for _, format := range []string{CSV, XLSX, Parquet} {
			if err := Write(io.Discard, format, failing, nil); !errors.Is(err, broken) {
				t.Errorf("%s: rows failed, got %v", format, err)
			}
			if err := Write(full{}, format, many(3), nil); !errors.Is(err, errFull) {
				t.Errorf("%s: writer failed, got %v", format, err)
			}
		}
	})

	t.Run("EveryFormatHasItsMediaTypeAndEnding", func(t *testing.T) {
		t.Parallel()
		for format, want := range map[string]string{CSV: "text/csv", XLSX: "application/vnd.openxmlformats", Parquet: "application/vnd.apache.parquet", "pdf": "application/octet-stream"} {
			if got := ContentType(format); !strings.HasPrefix(got, want) {
				t.Errorf("%s is %s", format, got)
			}
			if got := Extension(format); got != "."+format {
				t.Errorf("%s ends in %s", format, got)
			}
		}
	})
}

var errFull = errors.New("the disk is full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// counter counts bytes and watches the heap while they pass.
type counter struct {
	bytes, writes int64
	peak          uint64
}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	if c.writes++; c.writes%100 == 0 {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		c.peak = max(c.peak, now.HeapInuse)
	}
	return len(p), nil
}

// Not parallel: it looks at the whole process's memory.
func TestMemoryDoesNotGrowWithRows(t *testing.T) {
	measure := func(rows int) (allocated uint64, out counter) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := Write(&out, CSV, many(rows), shanghai); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if out.peak > before.HeapInuse {
			out.peak -= before.HeapInuse
		}
		return after.TotalAlloc - before.TotalAlloc, out
	}
	const rows = 250_000
	allocated, out := measure(rows)
	if out.bytes < 40_000_000 {
		t.Fatalf("only %d bytes for %d rows", out.bytes, rows)
	}
	if perRow := allocated / rows; perRow > 64 {
		t.Errorf("%d bytes of memory allocated for each row", perRow)
	}
	if out.peak > 8<<20 {
		t.Errorf("the heap grew to %d bytes for a file of %d", out.peak, out.bytes)
	}
}

// Not parallel: it points the whole process at another folder for temporary files.
func TestXLSXLeavesNoTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	spilled := false
	memo := strings.Repeat("memo ", 6000)
	rows := func(yield func(Row, error) bool) {
		for row := range many(700) {
			row.Memo = memo // of long rows fewer are needed until they no longer stay in memory
			if row.Seq == 700 {
				files, err := os.ReadDir(dir)
				spilled = err == nil && len(files) > 0
			}
			if !yield(row, nil) {
				return
			}
		}
	}
	if err := Write(io.Discard, XLSX, rows, nil); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	if !spilled {
		t.Error("the rows stayed in memory")
	}
}
