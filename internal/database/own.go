package database

import (
	"context"
	"fmt"
	"reflect"

	"gorm.io/gorm/schema"
)

// A value with a way of its own to JSON and back stands in a column that is tagged `gorm:"serializer:own"`.
type (
	writesJSON interface {
		AppendJSON(dst []byte) []byte
	}
	readsJSON interface {
		ReadJSON(text []byte) error
	}
)

func init() { schema.RegisterSerializer("own", ownSerializer{}) }

type ownSerializer struct{}

// Scan reads a column into its field.
func (ownSerializer) Scan(ctx context.Context, field *schema.Field, row reflect.Value, column any) error {
	value := reflect.New(field.FieldType)
	own, ok := value.Interface().(readsJSON)
	if !ok {
		return fmt.Errorf("database: %s has no JSON of its own", field.FieldType)
	}
	var err error
	switch text := column.(type) {
	case []byte:
		err = own.ReadJSON(text)
	case string:
		err = own.ReadJSON([]byte(text))
	case nil:
	default:
		err = fmt.Errorf("database: column %s holds %T", field.DBName, column)
	}
	if err != nil {
		return err
	}
	field.ReflectValueOf(ctx, row).Set(value.Elem())
	return nil
}

// Value gives what to write for a field.
func (ownSerializer) Value(_ context.Context, field *schema.Field, _ reflect.Value, value any) (any, error) {
	own, ok := value.(writesJSON)
	if !ok {
		return nil, fmt.Errorf("database: %s has no JSON of its own", field.FieldType)
	}
	return string(own.AppendJSON(make([]byte, 0, 256))), nil
}
