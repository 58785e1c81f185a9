package queue

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// asynqLog gives asynq's remarks to slog. Its ordinary ones on starting and
// stopping are of no interest to whoever runs the server.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(said ...any) { l.log.Debug(text(said)) }
func (l asynqLog) Info(said ...any)  { l.log.Debug(text(said)) }
func (l asynqLog) Warn(said ...any)  { l.log.Warn(text(said)) }
func (l asynqLog) Error(said ...any) { l.log.Error(text(said)) }
func (l asynqLog) Fatal(said ...any) { l.log.Error(text(said)) }

func text(said []any) string { return "asynq: " + strings.TrimSpace(fmt.Sprint(said...)) }

// redisLog gives the Redis client's remarks to slog; each also comes back as an error.
type redisLog struct{}

func (redisLog) Printf(ctx context.Context, format string, said ...any) {
	slog.DebugContext(ctx, "redis: "+fmt.Sprintf(format, said...))
}

// quietRedis is once for the process, for so is the Redis client's logger.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(redisLog{}) })
