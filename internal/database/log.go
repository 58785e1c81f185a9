package database

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

const (
	slowStatement  = time.Second
	longestLogged  = 300 // bytes of a statement; bulk ones have thousands of placeholders
	statementOmits = "…"
)

// slowLog logs statements that took long, without their values. Failures are
// not logged here: they go back to the caller, who knows whether they matter.
type slowLog struct{ log *slog.Logger }

func (l slowLog) LogMode(logger.LogLevel) logger.Interface { return l }

func (l slowLog) Info(context.Context, string, ...any) {}

func (l slowLog) Warn(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, "database: "+fmt.Sprintf(format, args...))
}

func (l slowLog) Error(ctx context.Context, format string, args ...any) {
	l.log.ErrorContext(ctx, "database: "+fmt.Sprintf(format, args...))
}

func (l slowLog) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), _ error) {
	took := time.Since(begin)
	if took < slowStatement {
		return
	}
	text, rows := statement()
	if len(text) > longestLogged {
		text = text[:longestLogged] + statementOmits
	}
	l.log.WarnContext(ctx, "slow statement", "took", took.String(), "rows", rows, "sql", text)
}

// ParamsFilter leaves the values out before gorm would write them into the statement's text.
func (l slowLog) ParamsFilter(_ context.Context, text string, _ ...any) (string, []any) {
	return text, nil
}
