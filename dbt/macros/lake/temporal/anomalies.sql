{# Spikes, dips and change points of a value, as AnomalyDetection_SpikeAndDip and AnomalyDetection_ChangePoint of Stream
   Analytics name them: same parameters, `score` and `is_anomaly`. What its pages leave open is chosen, and written down in
   docs/temporal.md. Each event is judged by those before it alone: of its key, meeting `when`, with a value, younger
   than `limit_ms`, and the last `history` of them at most. Fewer than ten judge nothing: score 1, no anomaly. Events
   that fail `when`, or have no value, have score null and are no anomaly. #}

{# In FROM: every row of `relation` with `score`, how probable a value as far off as this is by the density of those
   before it, and `is_anomaly`, 1 when that is less than 1 - confidence / 100. `mode` is spikes, dips or spikesanddips;
   the lower the `confidence` (1 to 100), the more anomalies. #}
{% macro spikes_and_dips(
    relation, expr, ts, limit_ms, history, confidence, keys=[], mode='spikesanddips', when=none, ties=arrival_order()
) -%}
  {%- do refuse_wrong_anomalies('spikes_and_dips', history, confidence, mode) -%}
  {%- set shares = {
      'spikes': '1 - _share_below', 'dips': '_share_below',
      'spikesanddips': '2 * least(_share_below, 1 - _share_below)',
  } -%}
  (
    select
      {{ all_but(['_judged', '_at', '_value', '_others', '_width', '_share_below', '_score']) }},
      _score as score,
      cast(case when _score < {{ 1 - confidence / 100 }} then 1 else 0 end as bigint) as is_anomaly
    from (
      select
        shares.*,
        case
          when _judged and {{ length_of('_others') }} < 10 then cast(1 as double)
          when _judged then greatest({{ shares[mode] }}, cast(0 as double))
        end as _score
      from {{ placed_among_others(relation, expr, ts, limit_ms, history, keys, when, ties) }} as shares
    ) as scored
  )
{%- endmacro %}


{# In FROM: every row of `relation` with `score`, how much evidence its key's last events bear that the values have come
   to be others and stay so, and `is_anomaly`, 1 when that is 1 / (1 - confidence / 100) or more. Each event bets against
   its own probability, no event more than that of 1 in 50: one alone makes no change point. #}
{% macro change_points(
    relation, expr, ts, limit_ms, history, confidence, keys=[], when=none, ties=arrival_order()
) -%}
  {%- do refuse_wrong_anomalies('change_points', history, confidence, 'spikesanddips') -%}
  {%- set over -%}
    over (
      {{ partitioned(keys + ['_bet is null']) }}order by {{ ([ts] + ties) | join(', ') }}
      rows between {{ history - 1 }} preceding and current row
    )
  {%- endset -%}
  (
    select
      {{ all_but(['_at', '_bet', '_evidence']) }},
      case when _bet is not null then exp(least(_evidence, cast(600 as double))) end as score,
      cast(
        {% if confidence == 100 %}0{% else -%}
        case when _bet is not null and _evidence >= {{ '-ln(' ~ (1 - confidence / 100) ~ ')' }} then 1 else 0 end
        {%- endif %} as bigint
      ) as is_anomaly
    from (
      select
        {{ all_but(['_bets']) }},
        {{ greatest_sum_to_the_end(values_after('_bets', '_at - ' ~ limit_ms * 1000)) }} as _evidence
      from (
        select bets.*, {{ listed(record({'at': '_at', 'value': '_bet'}), over) }} as _bets
        from (
          select
            {{ all_but(['score', 'is_anomaly']) }},
            {{ micros_of(ts) }} as _at,
            case
              when score is not null
              then ln(cast(0.1 as double)) - cast(0.9 as double) * ln(greatest(score, cast(0.02 as double)))
            end as _bet
          from {{ spikes_and_dips(relation, expr, ts, limit_ms, history, 100, keys, 'spikesanddips', when, ties) }} as spikes
        ) as bets
      ) as followed
    ) as summed
  )
{%- endmacro %}


{# Spark takes minutes for a few rows of these lists within lists, so that they are refused there: see docs/temporal.md. #}
{% macro refuse_on_this_engine(name) %}
  {% do adapter.dispatch('refuse_on_this_engine', 'dagster_lake')(name) %}
{% endmacro %}

{% macro default__refuse_on_this_engine(name) %}
  {% do exceptions.raise_compiler_error(
      name ~ ' is for LAKE_ENGINE=duckdb only: Spark would take minutes for what it does in milliseconds; compare a window'
      ~ ' with those before it by over_limit, as latency_anomalies does') %}
{% endmacro %}

{% macro duckdb__refuse_on_this_engine(name) %}{% endmacro %}


{% macro refuse_wrong_anomalies(name, history, confidence, mode) %}
  {% do refuse_on_this_engine(name) if execute %}
  {% if execute and (confidence < 1 or confidence > 100 or history < 10 or mode not in ('spikes', 'dips', 'spikesanddips')) %}
    {% do exceptions.raise_compiler_error(
        name ~ ': confidence is from 1 to 100, history 10 or more, mode spikes, dips or spikesanddips; not '
        ~ confidence ~ ', ' ~ history ~ ', ' ~ mode) %}
  {% endif %}
{% endmacro %}


{# Each row with `_others`, the values that it is judged by, and `_share_below`, the share of their density below its own:
   Gaussian kernels, as wide as Silverman's rule says, with the quartiles' distance for what is far off; all values alike
   have no width. #}
{% macro placed_among_others(relation, expr, ts, limit_ms, history, keys, when, ties) -%}
  {%- set judged = '(' ~ expr ~ ') is not null' ~ (' and coalesce((' ~ when ~ '), false)' if when is not none else '') -%}
  {%- set over -%}
    over (
      {{ partitioned(keys + ['_judged']) }}order by {{ ([ts] + ties) | join(', ') }}
      rows between {{ history }} preceding and 1 preceding
    )
  {%- endset -%}
  (
    select
      widths.*,
      {{ mean_of(mapped('_others', '_x', share_below_of('_value', '_x', '_width'))) }} as _share_below
    from (
      select
        others.*,
        cast(0.9 as double) * {{ spread_of('_others') }}
          * power(cast({{ length_of('_others') }} as double), cast(-0.2 as double)) as _width
      from (
        select
          {{ all_but(['_before']) }},
          {{ values_after('_before', '_at - ' ~ limit_ms * 1000) }} as _others
        from (
          select followed.*, {{ listed(record({'at': '_at', 'value': '_value'}), over) }} as _before
          from (
            select
              events.*, {{ judged }} as _judged, {{ micros_of(ts) }} as _at, cast({{ expr }} as double) as _value
            from {{ relation }} as events
          ) as followed
        ) as listed
      ) as others
    ) as widths
  )
{%- endmacro %}


{# How much of a Gaussian kernel about `x` lies below a value: erf by Abramowitz and Stegun 7.1.26, to 2e-7. #}
{% macro share_below_of(value, x, width) -%}
  {%- set far = 'abs(' ~ value ~ ' - ' ~ x ~ ') / (' ~ width ~ ' * sqrt(cast(2 as double)))' -%}
  {%- set t = '(1 / (1 + cast(0.3275911 as double) * ' ~ far ~ '))' -%}
  {%- set tail -%}
    {%- set polynomial = namespace(text='cast(1.061405429 as double)') -%}
    {%- for factor in ['-1.453152027', '1.421413741', '-0.284496736', '0.254829592'] -%}
      {%- set polynomial.text = '(' ~ polynomial.text ~ ' * ' ~ t ~ ' + cast(' ~ factor ~ ' as double))' -%}
    {%- endfor -%}
    {{ polynomial.text }} * {{ t }} * exp(-least({{ far }} * {{ far }}, cast(600 as double)))
  {%- endset -%}
  case
    when {{ value }} = {{ x }} then cast(0.5 as double)
    when {{ width }} = 0 then cast(case when {{ value }} > {{ x }} then 1 else 0 end as double)
    when {{ value }} > {{ x }} then 1 - ({{ tail }}) / 2
    else ({{ tail }}) / 2
  end
{%- endmacro %}


{# The lesser of the standard deviation and the quartiles' distance / 1.34 of a list of doubles. #}
{% macro spread_of(list) -%}
  {%- set in_order, quarter = sorted_list(list), whole_quotient(length_of(list), 4) -%}
  {%- set last = length_of(list) ~ ' - 1' -%}
  {%- set quartiles -%}
    ({{ element_at(in_order, last ~ ' - ' ~ quarter) }} - {{ element_at(in_order, quarter) }}) / cast(1.34 as double)
  {%- endset -%}
  {%- set squares = mapped(list, '_y', '(_y - ' ~ mean_of(list) ~ ') * (_y - ' ~ mean_of(list) ~ ')') -%}
  least(sqrt({{ mean_of(squares) }}), {{ quartiles }})
{%- endmacro %}
