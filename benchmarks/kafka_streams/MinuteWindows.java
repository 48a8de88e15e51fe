import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;

/**
 * The peer on Kafka Streams: one upload a record, per-user windows of one minute (count, sum, least,
 * greatest) in a store with a changelog, every change of a window to an output topic.
 *
 * <p>Arguments: bootstrap servers, application id, input topic, output topic, state directory,
 * store (memory or rocksdb).
 */
public final class MinuteWindows {
  private static final long MINUTE_MS = 60_000;
  private static final Duration GRACE = Duration.ofMinutes(15);

  /** The samples of an upload's one series. */
  record Upload(long[] times, double[] values) {}

  /** What is kept of a minute. */
  record Minute(long count, double sum, double min, double max) {
    static final Minute EMPTY =
        new Minute(0, 0, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY);

    Minute merge(Minute other) {
      return new Minute(
          count + other.count,
          sum + other.sum,
          Math.min(min, other.min),
          Math.max(max, other.max));
    }
  }

  /** Reads the Avro record field by field: no generated classes, no reflection. */
  static final class UploadDeserializer implements Deserializer<Upload> {
    private static final int HEADER = 5; // magic byte and schema id
    private BinaryDecoder decoder;
    private ByteBuffer times;
    private ByteBuffer values;

    @Override
    public Upload deserialize(String topic, byte[] data) {
      try {
        decoder =
            DecoderFactory.get().binaryDecoder(data, HEADER, data.length - HEADER, decoder);
        for (int skipped = 0; skipped < 4; skipped++) {
          decoder.skipString(); // upload, user (it is the key), device, source
        }
        decoder.readArrayStart();
        decoder.skipString(); // metric
        decoder.skipString(); // unit
        times = decoder.readBytes(times);
        values = decoder.readBytes(values);
        long[] instants = new long[times.remaining() / Long.BYTES];
        times.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(instants);
        double[] measured = new double[values.remaining() / Double.BYTES];
        values.order(ByteOrder.LITTLE_ENDIAN).asDoubleBuffer().get(measured);
        return new Upload(instants, measured);
      } catch (IOException error) {
        throw new IllegalArgumentException("not an upload", error);
      }
    }
  }

  static final class MinuteSerializer implements Serializer<Minute> {
    @Override
    public byte[] serialize(String topic, Minute minute) {
      return minute == null
          ? null
          : ByteBuffer.allocate(32)
              .putLong(minute.count())
              .putDouble(minute.sum())
              .putDouble(minute.min())
              .putDouble(minute.max())
              .array();
    }
  }

  static final class MinuteDeserializer implements Deserializer<Minute> {
    @Override
    public Minute deserialize(String topic, byte[] data) {
      if (data == null) {
        return null;
      }
      ByteBuffer in = ByteBuffer.wrap(data);
      return new Minute(in.getLong(), in.getDouble(), in.getDouble(), in.getDouble());
    }
  }

  /**
   * Cuts an upload into its minutes, so that a window is touched once an upload and not once a
   * sample. The key stays what it is: nothing is repartitioned.
   */
  static final class Minutes implements FixedKeyProcessor<String, Upload, Minute> {
    private FixedKeyProcessorContext<String, Minute> context;

    @Override
    public void init(FixedKeyProcessorContext<String, Minute> context) {
      this.context = context;
    }

    @Override
    public void process(FixedKeyRecord<String, Upload> record) {
      long[] times = record.value().times();
      double[] values = record.value().values();
      int from = 0;
      while (from < times.length) {
        long minute = times[from] / MINUTE_MS;
        double sum = 0;
        double min = Double.POSITIVE_INFINITY;
        double max = Double.NEGATIVE_INFINITY;
        int to = from;
        for (; to < times.length && times[to] / MINUTE_MS == minute; to++) {
          sum += values[to];
          min = Math.min(min, values[to]);
          max = Math.max(max, values[to]);
        }
        context.forward(
            record
                .withValue(new Minute(to - from, sum, min, max))
                .withTimestamp(minute * MINUTE_MS));
        from = to;
      }
    }
  }

  public static void main(String[] args) throws InterruptedException {
    Properties config = new Properties();
    config.putAll(
        Map.of(
            StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0],
            StreamsConfig.APPLICATION_ID_CONFIG, args[1],
            StreamsConfig.STATE_DIR_CONFIG, args[4],
            StreamsConfig.NUM_STREAM_THREADS_CONFIG, "1",
            // Caching stays on with its default of 10 MiB, several times what the open windows need;
            // 64 MiB halved the rate.
            StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000"));
    config.put(
        StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG),
        String.valueOf(8 << 20));
    config.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    config.put(
        StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG),
        String.valueOf(256 << 10));

    Serde<String> users = Serdes.String();
    Serde<Upload> uploads =
        Serdes.serdeFrom(
            (topic, upload) -> {
              throw new UnsupportedOperationException("uploads are only read");
            },
            new UploadDeserializer());
    Serde<Minute> minutes = Serdes.serdeFrom(new MinuteSerializer(), new MinuteDeserializer());
    Duration size = Duration.ofMillis(MINUTE_MS);
    Duration retention = size.plus(GRACE);
    WindowBytesStoreSupplier store =
        args[5].equals("memory")
            ? Stores.inMemoryWindowStore("minutes", retention, size, false)
            : Stores.persistentWindowStore("minutes", retention, size, false);

    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(args[2], Consumed.with(users, uploads))
        .processValues(Minutes::new)
        .groupByKey(Grouped.with(users, minutes))
        .windowedBy(TimeWindows.ofSizeAndGrace(size, GRACE))
        .aggregate(
            () -> Minute.EMPTY,
            (user, part, whole) -> whole.merge(part),
            Materialized.<String, Minute>as(store)
                .withKeySerde(users)
                .withValueSerde(minutes)
                .withCachingEnabled())
        .toStream()
        .to(
            args[3],
            Produced.with(WindowedSerdes.timeWindowedSerdeFrom(String.class, MINUTE_MS), minutes));

    KafkaStreams streams = new KafkaStreams(builder.build(config), config);
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  streams.close(Duration.ofSeconds(5));
                  stopped.countDown();
                }));
    streams.start();
    stopped.await();
  }

  private MinuteWindows() {}
}
