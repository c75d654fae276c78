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
      {{ all_but([
        '_judged', '_at', '_value', '_before', '_others', '_mean', '_in_order', '_width', '_distances', '_share_below', '_score'
      ]) }},
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
  {%- set bets -%}
    (
      select
        {{ all_but(['score', 'is_anomaly']) }},
        {{ micros_of(ts) }} as _at,
        case
          when score is not null
          then ln(cast(0.1 as double)) - cast(0.9 as double) * ln(greatest(score, cast(0.02 as double)))
        end as _bet
      from {{ spikes_and_dips(relation, expr, ts, limit_ms, history, 100, keys, 'spikesanddips', when, ties) }} as spikes
    )
  {%- endset -%}
  {%- set placed -%}
    (select bets.*, {{ listed(record({'at': '_at', 'value': '_bet'}), over) }} as _bets from {{ bets }} as bets)
  {%- endset -%}
  (
    select
      {{ all_but(['_at', '_bet', '_bets', '_recent', '_evidence']) }},
      case when _bet is not null then exp(least(_evidence, cast(600 as double))) end as score,
      cast(
        {% if confidence == 100 %}0{% else -%}
        case when _bet is not null and _evidence >= {{ '-ln(' ~ (1 - confidence / 100) ~ ')' }} then 1 else 0 end
        {%- endif %} as bigint
      ) as is_anomaly
    from {{ computed_once(
      computed_once(placed, {'_recent': values_after('_bets', '_at - ' ~ limit_ms * 1000)}),
      {'_evidence': greatest_sum_to_the_end('_recent')}
    ) }} as summed
  )
{%- endmacro %}


{% macro refuse_wrong_anomalies(name, history, confidence, mode) %}
  {% if execute and (confidence < 1 or confidence > 100 or history < 10 or mode not in ('spikes', 'dips', 'spikesanddips')) %}
    {% do exceptions.raise_compiler_error(
        name ~ ': confidence is from 1 to 100, history 10 or more, mode spikes, dips or spikesanddips; not '
        ~ confidence ~ ', ' ~ history ~ ', ' ~ mode) %}
  {% endif %}
{% endmacro %}


{# Each row with `_others`, the values that it is judged by, and `_share_below`, the share of their density below its own:
   Gaussian kernels, as wide as Silverman's rule says, with the quartiles' distance for what is far off; all values alike
   have no width. Each row holds `history` values at most, and the work for it is in proportion to them. #}
{% macro placed_among_others(relation, expr, ts, limit_ms, history, keys, when, ties) -%}
  {%- set judged = '(' ~ expr ~ ') is not null' ~ (' and coalesce((' ~ when ~ '), false)' if when is not none else '') -%}
  {%- set over -%}
    over (
      {{ partitioned(keys + ['_judged']) }}order by {{ ([ts] + ties) | join(', ') }}
      rows between {{ history }} preceding and 1 preceding
    )
  {%- endset -%}
  {%- set events -%}
    (
      select events.*, {{ judged }} as _judged, {{ micros_of(ts) }} as _at, cast({{ expr }} as double) as _value
      from {{ relation }} as events
    )
  {%- endset -%}
  {%- set followed -%}
    (select events.*, {{ listed(record({'at': '_at', 'value': '_value'}), over) }} as _before from {{ events }} as events)
  {%- endset -%}
  {%- set others = computed_once(followed, {'_others': values_after('_before', '_at - ' ~ limit_ms * 1000)}) -%}
  {%- set described = computed_once(others, {'_mean': mean_of('_others'), '_in_order': sorted_list('_others')}) -%}
  {%- set measured = computed_once(described, {'_width': kernel_width()}) -%}
  {%- set distant = computed_once(measured, {'_distances': mapped('_others', '_x', distance_in_widths())}) -%}
  {{ computed_once(distant, {'_share_below': mean_of(mapped('_distances', '_z', share_below()))}) }}
{%- endmacro %}


{# Of Gaussian kernels about `_others`: 0.9 n^-0.2 times the lesser of standard deviation and quartiles' distance / 1.34. #}
{% macro kernel_width() -%}
  {%- set quarter = whole_quotient(length_of('_others'), 4) -%}
  {%- set last = length_of('_others') ~ ' - 1' -%}
  cast(0.9 as double) * least(
    sqrt({{ mean_of(mapped('_others', '_y', '(_y - _mean) * (_y - _mean)')) }}),
    ({{ element_at('_in_order', last ~ ' - ' ~ quarter) }} - {{ element_at('_in_order', quarter) }}) / cast(1.34 as double)
  ) * power(cast({{ length_of('_others') }} as double), cast(-0.2 as double))
{%- endmacro %}


{# How far `_value` lies above the middle `_x` of a kernel, as erf counts: in widths times the root of 2. #}
{% macro distance_in_widths() -%}
  case
    when _value = _x then cast(0 as double)
    when _width = 0 then cast(case when _value > _x then 'infinity' else '-infinity' end as double)
    else (_value - _x) / (_width * sqrt(cast(2 as double)))
  end
{%- endmacro %}


{# How much of a kernel lies below the distance `_z`: erf by Abramowitz and Stegun 7.1.26, to 2e-7. #}
{% macro share_below() -%}
  {%- set t = '(1 / (1 + cast(0.3275911 as double) * abs(_z)))' -%}
  {%- set tail -%}
    {%- set polynomial = namespace(text='cast(1.061405429 as double)') -%}
    {%- for factor in ['-1.453152027', '1.421413741', '-0.284496736', '0.254829592'] -%}
      {%- set polynomial.text = '(' ~ polynomial.text ~ ' * ' ~ t ~ ' + cast(' ~ factor ~ ' as double))' -%}
    {%- endfor -%}
    {{ polynomial.text }} * {{ t }} * exp(-least(_z * _z, cast(600 as double)))
  {%- endset -%}
  case
    when _z = 0 then cast(0.5 as double)
    when _z > 0 then 1 - ({{ tail }}) / 2
    else ({{ tail }}) / 2
  end
{%- endmacro %}
